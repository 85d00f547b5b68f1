"""Leases: unacked messages of a dead holder are soon overdue, those of a living one or a stranger are left alone."""

import json
from collections.abc import Iterator
from time import time
from typing import Any, Final

import pytest
from redis import Redis
from structlog.testing import capture_logs
from tests.broker import QUEUE, Open, consumed, sound
from tests.crew import eventually

from runworker.transport import deaths_of
from runworker.transport.leases import LEASE_SECONDS, Lease

INDEX: Final = "unacked_index"
LEASES: Final = "unacked_leases"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def lease(redis: Redis) -> Iterator[Lease]:
    lease = Lease(redis, INDEX, LEASES)
    yield lease
    lease.end()


def test_unacked_messages_of_a_silent_holder_are_overdue(redis: Redis, lease: Lease) -> None:
    taken_at = time()
    dead, alive, idle = "7@press.plant:0a", "8@press.plant:0b", "9@press.plant:0c"
    gone = [f"{dead}.{fetched}" for fetched in ("1.0", "1.1", "2.0")]
    others = [f"{lease.holder}.1.0", f"{alive}.1.0", "7@press.1.0", ".1.0", dead, "stock-kombu"]
    redis.zadd(INDEX, dict.fromkeys(gone + others, taken_at))
    with capture_logs() as log:
        redis.zadd(LEASES, {dead: taken_at - 60, idle: taken_at - 60, alive: taken_at + 60})
        eventually(lambda: log, "somebody taken for dead")
    assert {redis.zscore(INDEX, tag) for tag in gone} == {0}
    told = [(each["event"], each["holder"], each["messages"]) for each in log]
    assert told == [("transport.holder_is_gone", dead, 3)]
    assert redis.zrange(LEASES, 0, -1) == [lease.holder.encode(), alive.encode()]
    assert {redis.zscore(INDEX, tag) for tag in others} == {taken_at}


def test_holders_that_went_together_are_all_told_of(redis: Redis, lease: Lease) -> None:
    gone = {f"{number}@press.plant:0a": number for number in (1, 2, 3)}
    for holder, messages in gone.items():
        redis.zadd(INDEX, {f"{holder}.1.{each}": time() for each in range(messages)})
    with capture_logs() as log:
        redis.zadd(LEASES, dict.fromkeys(gone, time() - 60))
        eventually(lambda: len(log) >= len(gone), "all of them taken for dead")
    assert {each["holder"]: each["messages"] for each in log} == gone
    lasts_until = redis.zscore(LEASES, lease.holder)
    eventually(lambda: redis.zscore(LEASES, lease.holder) > lasts_until, "the lease prolonged after that")


def test_a_lease_is_prolonged_until_its_end(redis: Redis, lease: Lease) -> None:
    now = time()
    lasts_until = redis.zscore(LEASES, lease.holder)
    assert now < lasts_until <= now + LEASE_SECONDS + 1
    # The thread's own connection among them: it takes another.
    redis.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: redis.zscore(LEASES, lease.holder) > lasts_until + 1, "the lease prolonged")
    lease.end()
    assert redis.zscore(LEASES, lease.holder) == 0


def test_a_consumer_fetches_under_a_lease(open_channel: Open, redis: Redis) -> None:
    channel = open_channel(global_keyprefix="plant:")
    redis.lpush(f"plant:{QUEUE}", sound(), sound())
    found = consumed(channel, 2)
    (holder,) = redis.zrange(f"plant:{LEASES}", 0, -1)
    assert {message.delivery_tag.rsplit(".", 2)[0].encode() for message in found} == {holder}
    channel.close()
    assert redis.zscore(f"plant:{LEASES}", holder) == 0


def test_a_fetch_brings_back_a_lease_that_the_server_has_lost(open_channel: Open, redis: Redis) -> None:
    channel = open_channel()
    consumed(channel, 0)
    holder = channel.holder.encode()
    channel._lease._ended.set()  # as if its process died a moment later
    channel._lease._keeper.join()
    redis.flushall()
    redis.lpush(QUEUE, sound())
    consumed(channel, 1)
    (found,) = redis.zrange(LEASES, 0, -1)
    assert found == holder


def test_only_what_a_dead_holder_did_alone_counts_against_a_message(open_channel: Open, redis: Redis) -> None:
    redis.lpush(QUEUE, *(sound({"number": number}) for number in range(3)))
    for begun, ended, expected in (
        ([1], False, [-1, 1, -1]),
        ([], False, [-1, 1, -1]),
        ([1], False, [-1, 2, -1]),
        ([1], True, [-1, 2, -1]),
        ([0], False, [1, 2, -1]),
        ([1, 2], True, [1, 2, -1]),
        ([1, 2], False, [1, 2, 0]),
    ):
        channel = open_channel()
        found = sorted(consumed(channel, 3), key=lambda message: message.headers["number"])
        if begun:
            channel.qos.note_begun([found[0].delivery_tag])
            channel.qos.note_begun([found[number].delivery_tag for number in begun])
        if ended:
            channel.qos.note_ended()
        redis.zadd(LEASES, {channel.holder: 0})  # as if it had died
        other = open_channel()
        kept = Lease(redis, INDEX, LEASES)  # whoever prolongs its lease sees that
        other.qos.restore_visible(interval=1)
        kept.end()
        assert deaths_by_number(redis) == expected
        channel.close()
    # What goes back for another reason keeps its count, or gets that of a process that knows better.
    other = open_channel()
    first, second, third = sorted(consumed(other, 3), key=lambda message: message.headers["number"])
    other.qos.count_deaths(third.delivery_tag, 4)
    for message in (first, second, third):
        message.requeue()
    assert deaths_by_number(redis) == [1, 2, 4]


def test_what_goes_back_by_itself_is_no_suspect(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound())
    channel.basic_get(QUEUE).requeue()
    assert deaths(redis.lindex(QUEUE, 0)) is None
    redis.zadd(INDEX, {channel.basic_get(QUEUE).delivery_tag: 1})  # unacked for too long, by somebody who lives
    channel.qos.restore_visible(interval=1)
    assert deaths(redis.lindex(QUEUE, 0)) is None


def deaths_by_number(redis: Redis) -> list[int | None]:
    return [
        deaths(item)
        for item in sorted(redis.lrange(QUEUE, 0, -1), key=lambda item: json.loads(item)["headers"]["number"])
    ]


def deaths(item: bytes) -> int | None:
    return deaths_of(json.loads(item)["headers"])


def test_a_channel_that_gets_once_or_acknowledges_nothing_has_no_lease(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound(), sound())
    assert channel.basic_get(QUEUE).delivery_tag.startswith(".")
    assert consumed(channel, 1, no_ack=True)
    assert not redis.exists(LEASES)
