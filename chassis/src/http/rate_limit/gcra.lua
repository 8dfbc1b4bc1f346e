-- One request of one client, by the generic cell rate algorithm: the same arithmetic as governor's.
-- KEYS[1]: the budget; holds when it will be full again, in microseconds of Redis's own clock.
-- ARGV[1]: microseconds until one request comes free; ARGV[2]: requests that may come at once.
-- Answers {1, microseconds until the budget is full} or {0, microseconds until the next request}.
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local period = tonumber(ARGV[1])
local burst = tonumber(ARGV[2])
local full = tonumber(redis.call('GET', KEYS[1])) or now
if full < now then
    full = now
end
local allowed_from = full - period * (burst - 1)
if now < allowed_from then
    return {0, allowed_from - now}
end
full = full + period
-- Lua would write a number of this size with an exponent. A full budget needs no key.
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return {1, full - now}
