-- KEYS: meta, reigns, locks, requests, pending, grants, those that have not ended. Makes what is there a store of its own:
-- what may have happened since it was written is taken to have happened.
local meta, reigns, locks, rows, pending, grants, live = unpack(KEYS)
local gen, before, at, epoch, by, why = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local function whole(n) return string.format('%.0f', n) end
local M = redis.call('HMGET', meta, 'reign', 'epoch', 'hw', 'forgotten', 'schema')
if M[5] and M[5] ~= '1' then return {'SCHEMA', M[5]} end
local reign = whole((tonumber(M[1]) or 0) + 1)
epoch = whole(math.max(tonumber(M[2]) or 0, epoch) + 1)
local now = math.max(tonumber(M[3]) or at, at)
for _, id in ipairs(redis.call('ZRANGE', live, 0, -1)) do
  local raw = redis.call('HGET', grants, id)
  local row = raw and cmsgpack.unpack(raw)
  if row and not row.rb then
    row.rb, row.ra = by, now
    redis.call('HSET', grants, id, cmsgpack.pack(row))
  end
end
for _, id in ipairs(redis.call('ZRANGE', pending, 0, -1)) do
  local raw = redis.call('HGET', rows, id)
  local row = raw and cmsgpack.unpack(raw)
  if row and row.s == 'pending' then
    row.s, row.v, row.y, row.mv = 'cancelled', row.v + 1, why, now
    redis.call('HSET', rows, id, cmsgpack.pack(row))
  end
end
redis.call('DEL', live, pending)
for i = 7, #ARGV, 2 do redis.call('HSETNX', locks, ARGV[i], epoch .. ' ' .. ARGV[i + 1]) end
redis.call('HSET', meta, 'schema', '1', 'gen', gen, 'before', before, 'reign', reign, 'run', run, 'epoch', epoch,
  'hw', whole(now), 'shown', whole(at), 'forgotten', whole(math.max(tonumber(M[4]) or now, now)), 'locked', epoch,
  'asked', epoch)
redis.call('HDEL', meta, 'doubt')
redis.call('DEL', reigns)
redis.call('HSET', reigns, reign, epoch .. ':' .. run)
redis.call('PUBLISH', string.sub(meta, 1, -5) .. 'ev', epoch)
return {'ADOPTED', reign, run, epoch}
