"""What Redis does in one step: the scripts behind `RedisBroker`'s presence.

Below the prefix: `place:<place>` (hash: name → connections), `worker:<worker>` (hash: place, line end, name → its
connections there), `names` and `owners` (hashes by name), `places` (sorted set by number of names), `workers` (sorted
set by the time of their last beat), `life` (made with the first beat: another one means that Redis forgot). Keys are
made inside the scripts, so this needs one Redis, not a cluster.
"""

COUNT = """
local p = ARGV[1]
local function count(place, name, n)
  local there = redis.call('HINCRBY', p .. 'place:' .. place, name, n)
  if there <= 0 then redis.call('HDEL', p .. 'place:' .. place, name) end
  if (n > 0 and there == n) or there <= 0 then
    local names = redis.call('HLEN', p .. 'place:' .. place)
    if names == 0 then redis.call('ZREM', p .. 'places', place)
    else redis.call('ZADD', p .. 'places', names, place) end
  end
  if redis.call('HINCRBY', p .. 'names', name, n) <= 0 then
    redis.call('HDEL', p .. 'names', name)
    redis.call('HDEL', p .. 'owners', name)
  end
  return there
end
local function forget(worker)
  local gone = {}
  local entries = redis.call('HGETALL', p .. 'worker:' .. worker)
  redis.call('DEL', p .. 'worker:' .. worker)
  for i = 1, #entries, 2 do
    local split = string.find(entries[i], '\\n', 1, true)
    local place, name = string.sub(entries[i], 1, split - 1), string.sub(entries[i], split + 1)
    if count(place, name, -tonumber(entries[i + 1])) <= 0 then gone[#gone + 1] = entries[i] end
  end
  return gone
end
"""

# prefix, worker, place, name, owner, whether it claims, channel, event → whether it took the name from another; -1: no
ENTER = (
    COUNT
    + """
local worker, place, name, owner, channel, event = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7], ARGV[8]
local current = redis.call('HGET', p .. 'owners', name)
local other = current and current ~= owner
if other and ARGV[6] == '0' then return -1 end
redis.call('HSET', p .. 'owners', name, owner)
redis.call('HINCRBY', p .. 'worker:' .. worker, place .. '\\n' .. name, 1)
if count(place, name, 1) == 1 then redis.call('PUBLISH', channel, event) end
return other and 1 or 0
"""
)

# prefix, worker, place, name, channel, event
LEAVE = (
    COUNT
    + """
local worker, place, name, channel, event = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local left = redis.call('HINCRBY', p .. 'worker:' .. worker, place .. '\\n' .. name, -1)
if left <= 0 then redis.call('HDEL', p .. 'worker:' .. worker, place .. '\\n' .. name) end
if left >= 0 and count(place, name, -1) <= 0 then redis.call('PUBLISH', channel, event) end
"""
)

# prefix, worker, its own channel, seconds until a worker counts as dead → whether it was known, the dead, the life
BEAT = """
local p, worker = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local known = redis.call('ZSCORE', p .. 'workers', worker)
redis.call('ZADD', p .. 'workers', now, worker)
redis.call('PUBLISH', ARGV[3], '\\n')
redis.call('SET', p .. 'life', worker .. tostring(now), 'NX')
local dead = redis.call('ZRANGEBYSCORE', p .. 'workers', '-inf', now - tonumber(ARGV[4]))
return {known and 1 or 0, dead, redis.call('GET', p .. 'life')}
"""

# prefix, worker → the entries (place, line end, name) that nobody is left of; nothing if another was quicker
REAP = (
    COUNT
    + """
if redis.call('ZREM', p .. 'workers', ARGV[2]) == 0 then return {} end
return forget(ARGV[2])
"""
)

# prefix, worker, then its connections as they are: place, name, owner, number … → as REAP, and the entries that are new
REPLACE = (
    COUNT
    + """
local worker = ARGV[2]
local gone = forget(worker)
local came = {}
for i = 3, #ARGV, 4 do
  local place, name, n = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3])
  redis.call('HSETNX', p .. 'owners', name, ARGV[i + 2])
  redis.call('HINCRBY', p .. 'worker:' .. worker, place .. '\\n' .. name, n)
  if count(place, name, n) == n then came[#came + 1] = place .. '\\n' .. name end
end
local left = {}
for _, entry in ipairs(gone) do
  if redis.call('HEXISTS', p .. 'worker:' .. worker, entry) == 0 then left[#left + 1] = entry end
end
return {left, came}
"""
)
