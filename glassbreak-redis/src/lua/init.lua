-- KEYS: meta, reigns, and whatever else a store always has. Makes a store where there is nothing.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local found = redis.call('HMGET', KEYS[1], 'schema', 'gen', 'reign', 'run', 'epoch')
if found[1] then return {'FOUND', unpack(found)} end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return {'PARTIAL', KEYS[i]} end
end
if ARGV[1] == '' then return {'NOTHING'} end
redis.call('HSET', KEYS[1], 'schema', '1', 'gen', ARGV[1], 'reign', '1', 'run', run, 'epoch', '0')
redis.call('HSET', KEYS[2], '1', '0:' .. run)
return {'FOUND', '1', ARGV[1], '1', run, '0'}
