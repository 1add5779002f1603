-- KEYS: meta. What the server that holds the realm says of itself.
local all = {}
for i, section in ipairs({'server', 'memory', 'persistence', 'replication', 'cluster'}) do
  all[i] = redis.call('INFO', section)
end
return all
