-- KEYS: meta, locks, requests, their bodies, pending, the last no to each question, grants, their bodies, those that have
-- not ended, those of the caller, ends. What a decision may be is judged by the caller, for the version that it names.
local locks, rows, bodies, pending, no = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local grants, grant_bodies, live, mine, ends = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local id, expected, before, after = arg(), number(), arg() == '1', arg() == '1'
local state, by_person, version, body, deadline = arg(), arg() == '1', number(), arg(), number()
local given, given_body, most, from, to = arg(), arg(), number(), number(), number()
local words, selectors = args(), args()

local raw, current = redis.call('HGET', rows, id), redis.call('HGET', bodies, id)
if not raw or not current then return tell('UNKNOWN') end
local row = cmsgpack.unpack(raw)
if row.s ~= 'pending' or row.v ~= expected then return tell('CONFLICT', request(row, current)) end
if given ~= '' and redis.call('HEXISTS', grants, given) == 1 then return tell('USED') end
local now, why, latest = read()
if not now then return tell(why, latest) end
local late = now >= row.dl
if not ((late and after) or (not late and before)) then return tell('UNTIMELY', whole(now)) end
if given ~= '' then
  local lock = lock_on(locks, words)
  if lock then return tell('LOCKED', lock) end
end

local epoch = moved()
row.s, row.v, row.dl, row.mv, row.e = state, version, deadline, now, tonumber(epoch)
redis.call('HSET', rows, id, cmsgpack.pack(row))
redis.call('HSET', bodies, id, body)
if state ~= 'pending' then redis.call('ZREM', pending, id) end
redis.call('ZADD', ends, whole(math.max(now, state == 'pending' and deadline or now) + KEPT), 'r' .. id)
if by_person then redis.call('HSET', no, row.k, cmsgpack.pack({id = id, at = now})) end
if given ~= '' then
  local one = {u = 0, m = most, n = from, x = to, e = tonumber(epoch), q = id, w = selectors}
  redis.call('HSET', grants, given, cmsgpack.pack(one))
  redis.call('HSET', grant_bodies, given, given_body)
  redis.call('ZADD', live, epoch, given)
  for _, other in ipairs(redis.call('ZRANGE', mine, 0, -1)) do
    local kept = redis.call('HGET', grants, other)
    local row = kept and cmsgpack.unpack(kept)
    if not row or row.rb or now >= row.x or row.u >= row.m then redis.call('ZREM', mine, other) end
  end
  redis.call('ZADD', mine, epoch, given)
  -- Lost, it only hides grants.
  redis.call('PEXPIRE', mine, whole(KEPT))
  redis.call('ZADD', ends, whole(to + KEPT), 'g' .. given)
end
news('asked')
return tell('DONE', epoch)
