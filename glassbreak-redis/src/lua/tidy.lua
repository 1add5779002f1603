-- KEYS: meta, ops, due, requests, their bodies, grants, their bodies, those that have not ended, the last of each question, the
-- last no to each, ends, groups. Forgets some of what nobody may ask for any more, and names the groups that count nothing.
local ops, due, rows, bodies, grants, grant_bodies = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local live, last, no, ends, groups = KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local most = number()
if not M[6] then return tell('TIDIED', '0', {}) end

local forgotten, gone = tonumber(M[9]), redis.call('ZRANGEBYSCORE', due, '-inf', '(' .. M[6], 'LIMIT', 0, most)
for _, op in ipairs(gone) do
  -- An id begins with the moment at which it was minted.
  local minted = 0
  for i = 1, 6 do minted = minted * 256 + string.byte(op, i) end
  if not forgotten or minted > forgotten then forgotten = minted end
end
-- Before any of them goes: an op that is not kept and not older than this is a new one.
if #gone > 0 then redis.call('HSET', meta, 'forgotten', whole(forgotten)) end
for _, op in ipairs(gone) do
  redis.call('HDEL', ops, op)
  redis.call('ZREM', due, op)
end

for _, one in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', '(' .. M[6], 'LIMIT', 0, most)) do
  local id = string.sub(one, 2)
  if string.sub(one, 1, 1) == 'g' then
    redis.call('HDEL', grants, id)
    redis.call('HDEL', grant_bodies, id)
    redis.call('ZREM', live, id)
  else
    local raw = redis.call('HGET', rows, id)
    local row = raw and cmsgpack.unpack(raw)
    if row then
      if redis.call('HGET', last, row.k) == id then redis.call('HDEL', last, row.k) end
      local denied = redis.call('HGET', no, row.k)
      if denied and cmsgpack.unpack(denied).id == id then redis.call('HDEL', no, row.k) end
      redis.call('ZREM', KEYS[13], id)
    end
    redis.call('HDEL', rows, id)
    redis.call('HDEL', bodies, id)
  end
  redis.call('ZREM', ends, one)
end

return tell('TIDIED', whole(#gone), redis.call('ZRANGEBYSCORE', groups, '-inf', '(' .. M[6], 'LIMIT', 0, most))
