-- KEYS: meta, locks, ops, grants, their bodies. Whether the grant covers the call is judged by the caller, who says so:
-- all that can have changed since is looked at here.
local locks, ops, rows, bodies = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local op, attempt, id, digest, judged = arg(), arg(), arg(), arg(), arg() == '1'

local lock = lock_on(locks, args())
if lock then return tell('LOCKED', lock) end
local now, why, latest = read()
if not now then return tell(why, latest) end
local raw = redis.call('HGET', ops, op)
if not raw then return tell('NOTHELD', 'FORGOTTEN') end
local call = cmsgpack.unpack(raw)
local became = fate(call, now)
if became ~= 'HELD' or call.a ~= attempt then return tell('NOTHELD', became) end
if call.d ~= digest then return tell('OTHERCALL') end
local body = redis.call('HGET', bodies, id)
raw = redis.call('HGET', rows, id)
if call.g then
  if call.g ~= id then return tell('USEDUP') end
  if not body then return tell('LOST') end
  return tell('USED', whole(call.ge), whole(call.gu), body)
end
if not raw or not body then return tell('NOGRANT') end
local row = cmsgpack.unpack(raw)
local stands = not row.rb and now >= row.n and now < row.x and row.u < row.m
if not judged or not stands then return tell('LOOK', whole(now), grant(row, body)) end
row.u = row.u + 1
local epoch = moved()
call.g, call.gu, call.ge = id, row.u, tonumber(epoch)
redis.call('HSET', rows, id, cmsgpack.pack(row))
redis.call('HSET', ops, op, cmsgpack.pack(call))
return tell('USED', epoch, whole(row.u), body)
