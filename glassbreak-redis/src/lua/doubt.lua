-- KEYS: meta. Somebody knows of changes that are not here: from now on everybody is refused.
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then return {'OTHER'} end
redis.call('HSETNX', KEYS[1], 'doubt', ARGV[2])
return {'DOUBT'}
