-- KEYS: meta, groups, then t, a, e of each group. Drops groups in which nothing counts any more.
local groups = KEYS[2]
for i, name in ipairs(args()) do
  -- One that was counted in since is not one of them.
  local at = tonumber(redis.call('ZSCORE', groups, name))
  if at and M[6] and at < tonumber(M[6]) then
    redis.call('DEL', KEYS[3 * i], KEYS[3 * i + 1], KEYS[3 * i + 2])
    redis.call('ZREM', groups, name)
  end
end
return tell('DROPPED')
