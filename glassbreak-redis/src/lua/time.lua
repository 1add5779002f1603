-- KEYS: meta. Takes the given time for the time from now on, on an operator's word, if it is not behind.
local given = tonumber(ARGV[2])
local hw = math.max(tonumber(M[6]) or given, given)
local shown = ARGV[3]
if shown == '' then
  local t = redis.call('TIME')
  shown = whole(t[1] * 1000 + math.floor(t[2] / 1000))
end
redis.call('HSET', meta, 'hw', whole(hw), 'shown', shown, 'vouched', whole(hw))
return tell('TAKEN')
