-- KEYS: meta, ops, due. Forgets some ops that nobody may ask for any more, and remembers when the last of them was minted.
local ops, due = KEYS[2], KEYS[3]
local most = number()
if not M[6] then return tell('TIDIED', 0) end
local gone = redis.call('ZRANGEBYSCORE', due, '-inf', '(' .. M[6], 'LIMIT', 0, most)
local forgotten = tonumber(M[9])
for _, op in ipairs(gone) do
  local minted = 0
  for i = 1, 6 do minted = minted * 256 + string.byte(op, i) end
  if not forgotten or minted > forgotten then forgotten = minted end
end
if #gone > 0 then
  redis.call('HSET', meta, 'forgotten', whole(forgotten))
  for _, op in ipairs(gone) do
    redis.call('HDEL', ops, op)
    redis.call('ZREM', due, op)
  end
end
return tell('TIDIED', #gone)
