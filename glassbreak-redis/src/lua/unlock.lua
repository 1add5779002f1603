-- KEYS: meta, locks.
local locks = KEYS[2]
local word, same, seen = arg(), arg() == M[2], number()
local stands = redis.call('HGET', locks, word)
if not stands then return tell('NOTLOCKED') end
local since, lock = string.match(stands, '^(%d+) (.*)$')
if not same or tonumber(since) > seen then return tell('NEWER', lock) end
local epoch = moved()
redis.call('HDEL', locks, word)
news('locked')
return tell('LIFTED', epoch, lock)
