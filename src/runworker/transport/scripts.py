"""Scripts that the broker runs in one step: no other command comes between the parts of a script.

All of them write before they remove: a command that the server refuses half-way (a key of another kind, say) makes a
message come twice and not go away. `allow-oom`: fetching empties a full server, and needs a few bytes first. The time
is the server's: a worker's own clock may be a day off.
"""

from typing import Final

ALLOW_OOM: Final = "#!lua flags=allow-oom\n"

TAKE: Final = """#!lua flags=allow-oom
-- Takes messages off lists, most urgent list first, and enters each as unacked.
-- KEYS: hash and sorted set of unacked messages, sorted set of leases, then the lists.
-- ARGV: number of messages, number of bytes, the beginning of their tags, holder and seconds of the lease under which
-- they are taken (nothing: under none), then for each list its address as the rest of a JSON array, or nothing where
-- messages are not acknowledged.
-- Returns the number of messages left in the lists, then for each list the messages taken.
local wanted, bytes, tag = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local clock = redis.call('TIME')
local time = clock[1] + clock[2] / 1000000
-- The holder may die before it prolongs a lease that the server has lost meanwhile.
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[3], 'NX', time + ARGV[5], ARGV[4]) end
local reply, number = {0}, 0
for place = 4, #KEYS do
    local list, address = KEYS[place], ARGV[place + 2]
    local taken, entries, times = {}, {}, {}
    while number < wanted and bytes > 0 do
        local item = redis.call('LINDEX', list, -1 - #taken)
        if not item then break end
        taken[#taken + 1] = item
        bytes = bytes - #item
        if address ~= '' then
            -- As it came. Decoded and encoded here, an empty array would become an object, a large number a near one.
            entries[#entries + 1] = tag .. number
            entries[#entries + 1] = '[' .. item .. ',' .. address .. ']'
            times[#times + 1] = time
            times[#times + 1] = tag .. number
        end
        number = number + 1
    end
    if #entries > 0 then
        redis.call('HSET', KEYS[1], unpack(entries))
        redis.call('ZADD', KEYS[2], unpack(times))
    end
    if #taken > 0 then redis.call('LTRIM', list, 0, -1 - #taken) end
    -- Read even where nothing was taken: the server tells of changes to what a connection has read.
    reply[1] = reply[1] + redis.call('LLEN', list)
    reply[place - 2] = taken
end
return reply
"""

OVERDUE: Final = """#!lua flags=allow-oom
-- Finds the messages that have been unacked for too long, the youngest first.
-- KEYS: sorted set of unacked messages. ARGV: seconds.
-- Returns their tags, each followed by its time, which is 0 where a lease has lapsed.
return redis.call('ZRANGE', KEYS[1], redis.call('TIME')[1] - ARGV[1], 0, 'BYSCORE', 'REV', 'WITHSCORES')
"""

NOTE: Final = """#!lua flags=allow-oom
-- Notes something for some time: which messages a holder has begun, or that messages went back.
-- KEYS: the note. ARGV: what it says, seconds that it is kept at most.
redis.call('SETEX', KEYS[1], ARGV[2], ARGV[1])
"""

PUT_BACK: Final = """#!lua flags=allow-oom
-- Puts an unacked message into lists, unless another process has put it back or acknowledged it.
-- KEYS: hash and sorted set of unacked messages, then the lists. ARGV: its tag, LPUSH or RPUSH, an item a list.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
    for place = 3, #KEYS do redis.call(ARGV[2], KEYS[place], ARGV[place]) end
    redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('ZREM', KEYS[2], ARGV[1])
"""

BIND: Final = """#!lua flags=allow-oom
-- Enters a queue in the tables of an exchange. KEYS: the tables. ARGV: the entry.
for _, table in ipairs(KEYS) do redis.call('SADD', table, ARGV[1]) end
"""

PROLONG: Final = """#!lua flags=allow-oom
-- Prolongs a lease, and makes the unacked messages of holders overdue whose leases have lapsed.
-- KEYS: sorted set of unacked messages, sorted set of leases. ARGV: the holder, seconds.
-- Returns the holders whose leases have lapsed with unacked messages, each followed by the number of messages.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
local lapsed, left, reply = redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE'), {}, {}
if #lapsed == 0 then return reply end
for _, holder in ipairs(lapsed) do left[holder] = 0 end
for _, tag in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local holder = string.match(tag, '^(.*)%.[^.]*%.[^.]*$')
    if left[holder] then
        redis.call('ZADD', KEYS[1], 0, tag)
        left[holder] = left[holder] + 1
    end
end
redis.call('ZREM', KEYS[2], unpack(lapsed))
for holder, messages in pairs(left) do
    if messages > 0 then
        reply[#reply + 1] = holder
        reply[#reply + 1] = messages
    end
end
return reply
"""

MOVE_TO_UNREADABLE: Final = """#!lua flags=allow-oom
-- Moves an unacked item that is no message to the unreadable list.
-- KEYS: hash and sorted set of unacked messages, the list. ARGV: the item's tag, the item.
redis.call('LPUSH', KEYS[3], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
"""
