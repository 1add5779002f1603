-- What every script begins with. KEYS[1] is `meta`; ARGV is the generation, the given time, and what the caller's clock
-- shows ('' where the server's counts). An answer is a word, the reign, the server that holds it, the epoch, and the rest.
local meta = KEYS[1]
local M = redis.call('HMGET', meta, 'schema', 'gen', 'reign', 'run', 'epoch', 'hw', 'shown', 'doubt', 'forgotten', 'vouched')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if not M[1] then return {'GONE'} end
if M[1] ~= '1' then return {'SCHEMA', M[1]} end
if M[2] ~= ARGV[1] then return {'OTHER', M[2], redis.call('HGET', meta, 'before') or ''} end

-- tostring() of a large number is not that number.
local function whole(n) return string.format('%.0f', n) end

local function tell(word, ...) return {word, M[3], M[4], M[5], ...} end

if M[4] ~= run then return tell('REIGN') end
if M[8] then return tell('DOUBT', M[8]) end

-- How long requests and grants are kept after their end.
local KEPT = 172800000

local place = 3
local function arg()
  place = place + 1
  return ARGV[place]
end
local function number() return tonumber(arg()) end
local function args()
  local all = {}
  for i = 1, number() do all[i] = arg() end
  return all
end

-- The store's time; or nil, why not, and the nearest that would be believed.
local function read()
  local given, shown, hw = tonumber(ARGV[2]), ARGV[3], tonumber(M[6])
  if shown == '' then
    local t = redis.call('TIME')
    shown = t[1] * 1000 + math.floor(t[2] / 1000)
    -- A glitch must not stretch windows for ever: a time that is too far ahead is an operator's to vouch for.
    local odd = hw and hw > shown + 5000 and hw > (tonumber(M[10]) or -math.huge)
    if given > shown + 5000 or odd then return nil, 'AHEAD', whole(shown + 5000) end
    if given < shown - 5000 then return nil, 'BEHIND', whole(shown) end
    if hw and given <= hw then return hw end
  else
    shown = tonumber(shown)
    if hw then
      if given <= hw then return hw end
      local latest = hw + math.max(0, shown - tonumber(M[7])) + 5000
      if given > latest then return nil, 'AHEAD', whole(latest) end
    end
  end
  redis.call('HSET', meta, 'hw', whole(given), 'shown', whole(shown))
  M[6] = whole(given)
  return given
end

-- Raises the epoch: there was a change.
local function moved()
  M[5] = whole(redis.call('HINCRBY', meta, 'epoch', 1))
  return M[5]
end

-- Tells whoever waits. `what` is `locked` or `asked`.
local function news(what)
  redis.call('HSET', meta, what, M[5])
  redis.call('PUBLISH', string.sub(meta, 1, -5) .. 'ev', M[5])
end

-- The first lock on one of these, as text.
local function lock_on(locks, words)
  local found = redis.call('HMGET', locks, unpack(words))
  for i = 1, #words do
    if found[i] then return string.match(found[i], '^%d+ (.*)$') end
  end
end

-- What has become of an op.
local function fate(row, now)
  if row.o then return row.o end
  if now > row.t + row.l then return 'PRESUMED' end
  return 'HELD'
end

-- A grant as it stands: what was given, how often it was used, and who ended it when.
local function grant(row, body) return {body, whole(row.u), row.rb or '', whole(row.ra or 0)} end

-- A request as it stands: what was decided last, and why it was cancelled after that.
local function request(row, body)
  return {body, whole(row.v), row.s, whole(row.oa), whole(row.dl), row.y or '', whole(row.e)}
end

local function holds(list, word)
  for i = 1, #list do
    if list[i] == word then return true end
  end
  return false
end
