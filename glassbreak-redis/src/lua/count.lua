-- Counting. A group is a rule in a scope, in three keys: `t` has the sum under each key, and the widest window that was
-- ever counted in; `a` the amount of each entry; `e` the entries by their stamps. An entry of a sliding window is one
-- demand of one op, one of any other window is all that came in one step. A key that was not known is `u`.

local function begin(now, w)
  if w.k == 'S' or w.k == 'B' then return now - w.a end
  if w.k == 'C' then return now - (now - w.b) % w.a end
  return -math.huge
end

local function stamp(now, w)
  if w.k == 'S' then return now end
  if w.k == 'B' then return now - now % w.b + w.b - 1 end
  if w.k == 'C' then return begin(now, w) end
  return 0
end

-- When what is kept at a stamp no longer counts; '' for never.
local function leaves(at, w)
  if w.k == 'S' or w.k == 'B' then return at + w.a + 1 end
  if w.k == 'C' then return begin(at, w) + w.a end
end

local function tag(key) if key == '' then return 'u' else return 'k' .. key end end

local function tag_of(entry) if string.sub(entry, 1, 1) == 'u' then return 'u' else return string.sub(entry, 1, 17) end end

local function entry(c, op, n)
  if c.w.k == 'S' then return tag(c.key) .. 's' .. op .. n end
  return tag(c.key) .. 't' .. whole(c.at)
end

-- Lowers a sum. What is nothing goes.
local function lower(g, name, amount)
  if redis.call('HINCRBY', g.t, name, whole(-amount)) <= 0 then redis.call('HDEL', g.t, name) end
end

-- Counts more at a charge's place.
local function add(g, c, op, n, amount)
  local e = entry(c, op, n)
  redis.call('ZADD', g.e, whole(c.at), e)
  redis.call('HINCRBY', g.a, e, whole(amount))
  redis.call('HINCRBY', g.t, tag(c.key), whole(amount))
end

-- Gives back what is still kept of a charge.
local function take(g, c, op, n, amount)
  local e = entry(c, op, n)
  local kept = tonumber(redis.call('HGET', g.a, e))
  if not kept then return end
  amount = math.min(amount, kept)
  if kept - amount <= 0 then
    redis.call('ZREM', g.e, e)
    redis.call('HDEL', g.a, e)
  else
    redis.call('HINCRBY', g.a, e, whole(-amount))
  end
  lower(g, tag(c.key), amount)
end

-- The entries from one stamp to another, oldest first: stamp, amount and tag of each.
local function entries(g, from, to)
  local found = redis.call('ZRANGEBYSCORE', g.e, from, to, 'WITHSCORES')
  local all = {}
  for i = 1, #found, 2 do
    local amount = tonumber(redis.call('HGET', g.a, found[i])) or 0
    all[#all + 1] = {at = tonumber(found[i + 1]), amount = amount, tag = tag_of(found[i])}
  end
  return all
end

-- Forgets what has left the widest window of a group: once for each call. `want` is the widest of this call.
local function ready(g, now)
  if g.ready then return end
  g.ready, g.sums, g.more = true, {}, {}
  local w = g.want
  local kept = redis.call('HGET', g.t, 'w')
  g.w = w
  if kept then
    local k, a, b = string.match(kept, '^(%a) (%S+) (%S+)$')
    local known = {k = k, a = tonumber(a), b = tonumber(b)}
    if begin(now, known) <= begin(now, w) then g.w = known else kept = nil end
  end
  g.new = not kept
  local from = begin(now, g.w)
  if from == -math.huge then return end
  local gone = redis.call('ZRANGEBYSCORE', g.e, '-inf', '(' .. whole(from))
  local sums = {}
  for i = 1, #gone do
    local amount = tonumber(redis.call('HGET', g.a, gone[i])) or 0
    -- In this order: broken off, it would count too much.
    redis.call('ZREM', g.e, gone[i])
    redis.call('HDEL', g.a, gone[i])
    local name = tag_of(gone[i])
    sums[name] = (sums[name] or 0) + amount
  end
  for name, sum in pairs(sums) do lower(g, name, sum) end
end

-- How much counts under a tag in a window that ends now, demands of this call before it included.
local function sum(g, name, now, w)
  if not g.sums[name] then g.sums[name] = tonumber(redis.call('HGET', g.t, name)) or 0 end
  local counted = g.sums[name]
  local from, kept = begin(now, w), begin(now, g.w)
  if from > kept then
    local older = entries(g, kept == -math.huge and '-inf' or whole(kept), '(' .. whole(from))
    for i = 1, #older do
      if older[i].tag == name then counted = counted - older[i].amount end
    end
  end
  return counted + (g.more[name] or 0)
end

-- What a demand comes to under each key that it is held against: the most, and a list of tag and count.
local function against(g, d, now)
  local unknown = sum(g, 'u', now, d.w)
  if d.key ~= '' then
    local name = tag(d.key)
    local count = sum(g, name, now, d.w) + unknown + d.amount
    return count, {{name, count}}
  end
  local most = unknown + d.amount
  local all, names = {{'u', most}}, {}
  for _, name in ipairs(redis.call('HKEYS', g.t)) do names[name] = true end
  for name in pairs(g.more) do names[name] = true end
  for name in pairs(names) do
    if name ~= 'u' and name ~= 'w' then
      local count = sum(g, name, now, d.w) + unknown + d.amount
      all[#all + 1] = {name, count}
      most = math.max(most, count)
    end
  end
  return most, all
end

-- When enough have left for a demand to pass, under every key that is too full; '' where waiting does not help.
local function free_at(g, d, now, all)
  local from = begin(now, d.w)
  local kept = entries(g, from == -math.huge and '-inf' or whole(from), '+inf')
  local last = -math.huge
  for _, against in ipairs(all) do
    local leaving, left, free = against[2] - d.ceiling, 0, nil
    if leaving > 0 then
      for _, one in ipairs(kept) do
        if one.tag == against[1] or one.tag == 'u' then
          left = left + one.amount
          if left >= leaving then
            free = leaves(one.at, d.w)
            break
          end
        end
      end
      if not free then return '' end
      last = math.max(last, free)
    end
  end
  return whole(last)
end
