"""Leases: unacked messages of a dead holder are soon overdue, those of a living one or a stranger are left alone."""

from collections.abc import Iterator
from time import time
from typing import Any, Final

import pytest
from redis import Redis
from structlog.testing import capture_logs
from tests.broker import QUEUE, Open, consumed, sound
from tests.crew import eventually

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


def test_a_channel_that_gets_once_or_acknowledges_nothing_has_no_lease(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound(), sound())
    assert channel.basic_get(QUEUE).delivery_tag.startswith(".")
    assert consumed(channel, 1, no_ack=True)
    assert not redis.exists(LEASES)
