-- KEYS: meta, locks, requests, their bodies, pending, grants, their bodies, those that have not ended. Writes nothing.
local locks, rows, bodies, pending, grants, grant_bodies, live = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local what, id = arg(), arg()

local function all(ids, row_key, body_key, make)
  local found = {}
  for i = 1, #ids do
    local row, body = redis.call('HGET', row_key, ids[i]), redis.call('HGET', body_key, ids[i])
    if row and body then found[#found + 1] = make(cmsgpack.unpack(row), body) end
  end
  return found
end

if what == 'position' or what == 'locks' then
  local at = redis.call('HMGET', meta, 'locked', 'asked')
  local values = {}
  if what == 'locks' then
    for i, lock in ipairs(redis.call('HVALS', locks)) do values[i] = string.match(lock, '^%d+ (.*)$') end
  end
  return tell('LOOKED', at[1] or '0', at[2] or '0', values)
end
if what == 'request' then return tell('LOOKED', all({id}, rows, bodies, request)) end
if what == 'pending' then return tell('LOOKED', all(redis.call('ZRANGE', pending, 0, -1), rows, bodies, request)) end
if what == 'earlier' then
  -- People are slow, and what is settled is forgotten after days: looking through all of it costs little.
  local key, most, every, ids = arg(), number(), redis.call('HGETALL', rows), {}
  for i = 1, #every, 2 do
    local row = cmsgpack.unpack(every[i + 1])
    if row.k == key and row.s ~= 'pending' and every[i] ~= id then ids[#ids + 1] = {every[i], row.oa} end
  end
  table.sort(ids, function(a, b) return a[2] > b[2] or (a[2] == b[2] and a[1] > b[1]) end)
  local newest = {}
  for i = 1, math.min(most, #ids) do newest[i] = ids[i][1] end
  return tell('LOOKED', all(newest, rows, bodies, request))
end
if what == 'grant' then return tell('LOOKED', all({id}, grants, grant_bodies, grant)) end
if what == 'grants' then
  return tell('LOOKED', all(redis.call('ZRANGE', live, 0, -1), grants, grant_bodies, grant), M[6] or '')
end
return tell('WHAT')
