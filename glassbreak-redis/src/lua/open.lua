-- KEYS: meta, locks, requests, their bodies, pending, the last of each question, the last no to each, those of the agent,
-- ends.
local locks, rows, bodies, pending, last, no = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local mine, ends = KEYS[8], KEYS[9]
local HOUR = 3600000
local id, key, body, lasts = arg(), arg(), arg(), number()
local most_pending, most_in_hour, cooldown = number(), number(), number()
local words, selectors = args(), args()

local lock = lock_on(locks, words)
if lock then return tell('LOCKED', lock) end
local now, why, latest = read()
if not now then return tell(why, latest) end

local same = redis.call('HGET', last, key)
if same then
  local raw, joined = redis.call('HGET', rows, same), redis.call('HGET', bodies, same)
  if raw and joined then
    local row = cmsgpack.unpack(raw)
    if row.s == 'pending' and now < row.dl then return tell('JOINED', request(row, joined)) end
  end
end
if redis.call('HEXISTS', rows, id) == 1 then return tell('USED') end
local denied = cooldown >= 0 and redis.call('HGET', no, key)
if denied then
  local one = cmsgpack.unpack(denied)
  if now < one.at + cooldown then return tell('RESTING', one.id, whole(one.at + cooldown)) end
end

local open, recent, old = 0, {}, {}
for _, other in ipairs(redis.call('ZRANGE', mine, 0, -1)) do
  local raw = redis.call('HGET', rows, other)
  local row = raw and cmsgpack.unpack(raw)
  local waits = row and row.s == 'pending' and now < row.dl
  local lately = row and now - row.oa < HOUR
  if waits then open = open + 1 end
  if lately then recent[#recent + 1] = row.oa end
  if not waits and not lately then old[#old + 1] = other end
end
if open >= most_pending then return tell('PENDING', whole(open)) end
if #recent >= most_in_hour then
  table.sort(recent)
  local leaving = recent[#recent - most_in_hour + 1] or now
  return tell('PERHOUR', whole(#recent), whole(leaving + HOUR))
end

local epoch = moved()
local deadline = math.min(now + lasts, 9007199254740992)
local row = {k = key, s = 'pending', v = 0, e = tonumber(epoch), oa = now, dl = deadline, mv = now, w = selectors}
for _, other in ipairs(old) do redis.call('ZREM', mine, other) end
redis.call('HSET', rows, id, cmsgpack.pack(row))
redis.call('HSET', bodies, id, body)
redis.call('ZADD', pending, epoch, id)
redis.call('HSET', last, key, id)
redis.call('ZADD', mine, whole(now), id)
-- Lost, it only forgives an agent that it has asked much.
redis.call('PEXPIRE', mine, whole(KEPT))
redis.call('ZADD', ends, whole(deadline + KEPT), 'r' .. id)
news('asked')
return tell('OPENED', request(row, body))
