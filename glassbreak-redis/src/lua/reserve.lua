-- KEYS: meta, locks, ops, due, the caller's grants, grants, their bodies, groups, then t, a, e of each group.
local locks, ops, due, mine, rows, bodies, all_groups = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local op, attempt, digest = arg(), arg(), arg()
local minted, lease, kept = number(), number(), number()

local lock = lock_on(locks, args())
if lock then return tell('LOCKED', lock) end
local now, why, latest = read()
if not now then return tell(why, latest) end

local function grants()
  local ids = redis.call('ZRANGE', mine, 0, -1)
  local all = {}
  for i = 1, #ids do
    local row, body = redis.call('HGET', rows, ids[i]), redis.call('HGET', bodies, ids[i])
    if row and body then all[#all + 1] = grant(cmsgpack.unpack(row), body) end
  end
  return all
end

local raw = redis.call('HGET', ops, op)
if raw then
  local row = cmsgpack.unpack(raw)
  if row.d ~= digest then return tell('MISMATCH') end
  -- One that ended with people being asked goes on with another attempt, unless it spent a grant.
  if not (row.o == 'asked' and not row.late and not row.g and row.a ~= attempt) then
    local became = fate(row, now)
    if became ~= 'HELD' or row.a ~= attempt then return tell('TAKEN', became) end
    local counts = {}
    for i = 1, #row.c do counts[i] = whole(row.c[i]) end
    return tell('HELD', whole(row.e), whole(row.t), counts, grants())
  end
elseif M[9] and minted <= tonumber(M[9]) then
  return tell('TAKEN', 'FORGOTTEN')
end

local groups, names = {}, args()
for i = 1, #names do groups[i] = {t = KEYS[3 * i + 6], a = KEYS[3 * i + 7], e = KEYS[3 * i + 8]} end
local demands, counts = {}, {}
for i = 1, number() do
  local d = {w = {}}
  d.group, d.key = number(), arg()
  d.w.k, d.w.a, d.w.b = arg(), number(), number()
  d.amount, d.ceiling = number(), number()
  demands[i] = d
  local g = groups[d.group]
  if not g.want or begin(now, d.w) < begin(now, g.want) then g.want = d.w end
end
for i = 1, #demands do
  local d = demands[i]
  local g = groups[d.group]
  ready(g, now)
  local most, all = against(g, d, now)
  if most > d.ceiling then return tell('OVER', i - 1, whole(most), free_at(g, d, now, all), whole(now)) end
  counts[i] = most
  g.more[tag(d.key)] = (g.more[tag(d.key)] or 0) + d.amount
end

-- From here on only writes.
local charges = {}
for i = 1, #demands do
  local d = demands[i]
  local g = groups[d.group]
  if g.new then
    redis.call('HSET', g.t, 'w', g.w.k .. ' ' .. whole(g.w.a) .. ' ' .. whole(g.w.b))
    g.new = false
  end
  local c = {g = names[d.group], key = d.key, w = d.w, at = stamp(now, d.w), n = d.amount}
  if d.amount > 0 then add(g, c, op, i, d.amount) end
  charges[i] = c
  -- What counts for ever is never dropped.
  local until_then = leaves(c.at, g.w) and leaves(c.at, d.w)
  if until_then then
    redis.call('ZADD', all_groups, 'GT', whole(math.max(leaves(c.at, g.w), until_then)), names[d.group])
  else
    redis.call('ZADD', all_groups, '+inf', names[d.group])
  end
end
local epoch = moved()
local row = {a = attempt, d = digest, t = now, l = lease, e = tonumber(epoch), c = counts, h = charges}
redis.call('HSET', ops, op, cmsgpack.pack(row))
redis.call('ZADD', due, whole(now + kept), op)
local told = {}
for i = 1, #counts do told[i] = whole(counts[i]) end
return tell('HELD', epoch, whole(now), told, grants())
