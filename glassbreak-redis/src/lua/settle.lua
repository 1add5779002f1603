-- KEYS: meta, ops, then t, a, e of each group that the op is known to count in.
local ops = KEYS[2]
local op, attempt, outcome, refunds = arg(), arg(), arg(), arg() == '1'
local groups = {}
for i, name in ipairs(args()) do groups[name] = {t = KEYS[3 * i], a = KEYS[3 * i + 1], e = KEYS[3 * i + 2]} end
local said = {}
for i = 1, number() do
  local place = number()
  said[i] = {place = place, amount = number()}
end

local raw = redis.call('HGET', ops, op)
if not raw then return tell('UNKNOWN') end
local row = cmsgpack.unpack(raw)
if row.a ~= attempt then return tell('STRANGER') end
if row.o then return tell('SETTLED', row.o, row.late and '1' or '0', row.r and '1' or '0', whole(row.s)) end
if refunds or #said > 0 then
  local missing = {}
  for _, c in ipairs(row.h) do
    if not groups[c.g] then missing[#missing + 1] = c.g end
  end
  -- A script may only touch the keys that it was given.
  if #missing > 0 then return tell('GROUPS', missing) end
end

local now = read()
local late = not now or now > row.t + row.l
now = now or row.t
local refunded = refunds and not late
if refunded then
  for i, c in ipairs(row.h) do take(groups[c.g], c, op, i, c.n) end
elseif not refunds then
  for _, word in ipairs(said) do
    local c = row.h[word.place + 1]
    if c then
      local more = word.amount - c.n
      if more > 0 and c.at >= begin(now, c.w) then
        add(groups[c.g], c, op, word.place + 1, more)
      elseif more < 0 and not late then
        take(groups[c.g], c, op, word.place + 1, -more)
      end
    end
  end
end
local epoch = moved()
row.o, row.late, row.r, row.s, row.c, row.h = outcome, late, refunded, tonumber(epoch), nil, nil
redis.call('HSET', ops, op, cmsgpack.pack(row))
return tell('SETTLED', outcome, late and '1' or '0', refunded and '1' or '0', epoch)
