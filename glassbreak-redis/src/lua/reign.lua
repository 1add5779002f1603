-- KEYS: meta, reigns. A server that took over begins a reign, at the epoch that it has.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local M = redis.call('HMGET', KEYS[1], 'gen', 'reign', 'run', 'epoch')
if not M[1] then return {'GONE'} end
if M[1] ~= ARGV[1] then return {'OTHER', M[1], redis.call('HGET', KEYS[1], 'before') or ''} end
if M[3] ~= run then
  M[2] = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'reign', 1))
  redis.call('HSET', KEYS[1], 'run', run)
  redis.call('HSET', KEYS[2], M[2], M[4] .. ':' .. run)
  redis.call('HDEL', KEYS[2], string.format('%.0f', M[2] - 1000))
end
return {'REIGNS', M[2], run, M[4], redis.call('HGETALL', KEYS[2])}
