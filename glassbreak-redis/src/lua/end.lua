-- KEYS: meta, locks, requests, pending, grants, those that have not ended, ends. Ends all that a word selects; where there is a
-- lock, puts it in force in the same step.
local locks, rows, pending, grants, live, ends = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local word, by, why, lock = arg(), arg(), arg(), arg()

local now
if lock ~= '' then
  local stands = redis.call('HGET', locks, word)
  if stands then return tell('STANDS', M[5]) end
  now = tonumber(M[6])
else
  -- A clock that is not believed must not keep a grant alive.
  now = read() or tonumber(M[6])
end
now = now or tonumber(ARGV[2])

local ended, cancelled, changes = {}, {}, {}
for _, id in ipairs(redis.call('ZRANGE', live, 0, -1)) do
  local raw = redis.call('HGET', grants, id)
  local row = raw and cmsgpack.unpack(raw)
  -- One that has not begun would stand later, and a permit by one that is used up may not have run yet.
  if row and not row.rb and now < row.x and holds(row.w, word) then
    row.rb, row.ra = by, now
    ended[#ended + 1] = id
    changes[#changes + 1] = {grants, id, cmsgpack.pack(row), live}
  end
end
for _, id in ipairs(redis.call('ZRANGE', pending, 0, -1)) do
  local raw = redis.call('HGET', rows, id)
  local row = raw and cmsgpack.unpack(raw)
  if row and row.s == 'pending' and holds(row.w, word) then
    row.s, row.v, row.y, row.mv = 'cancelled', row.v + 1, why, now
    cancelled[#cancelled + 1] = id
    changes[#changes + 1] = {rows, id, cmsgpack.pack(row), pending}
  end
end
if lock == '' and #changes == 0 then return tell('ENDED', M[5], ended, cancelled) end

local epoch = moved()
for _, change in ipairs(changes) do
  redis.call('HSET', change[1], change[2], change[3])
  redis.call('ZREM', change[4], change[2])
end
for _, id in ipairs(cancelled) do redis.call('ZADD', ends, whole(now + KEPT), 'r' .. id) end
if lock ~= '' then
  redis.call('HSET', locks, word, epoch .. ' ' .. lock)
  news('locked')
end
if #changes > 0 then news('asked') end
return tell('ENDED', epoch, ended, cancelled)
