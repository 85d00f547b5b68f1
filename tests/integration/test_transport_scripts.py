"""Scripts that the server stops half-way and scripts that come too late: no message is lost, none goes back twice."""

from collections.abc import Callable
from time import time as true_time
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from tests.broker import QUEUE, UNREADABLE_LIST, Open, sound

INDEX = "unacked_index"
ANOTHER_KIND = "a string, where a script expects something else"

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("key", ["unacked", INDEX])
def test_what_cannot_be_noted_is_not_taken(channel: Any, redis: Redis, key: str) -> None:
    items = [sound(), sound()]
    redis.rpush(QUEUE, *items)
    redis.set(key, ANOTHER_KIND)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        channel.basic_get(QUEUE)
    assert redis.lrange(QUEUE, 0, -1) == items
    redis.delete(key)
    assert all(channel.basic_get(QUEUE) for _ in items)


def test_what_cannot_go_back_stays_in_hand(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound())
    message = channel.basic_get(QUEUE)
    redis.set(QUEUE, ANOTHER_KIND)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        channel.qos.put_back([message.delivery_tag])
    assert (redis.hkeys("unacked"), redis.zrange(INDEX, 0, -1)) == ([message.delivery_tag.encode()],) * 2
    redis.delete(QUEUE)
    channel.qos.put_back([message.delivery_tag])
    assert (redis.llen(QUEUE), redis.hlen("unacked"), redis.zcard(INDEX)) == (1, 0, 0)


def test_what_cannot_be_put_aside_stays_in_hand(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, b"rubbish")
    redis.set(UNREADABLE_LIST, ANOTHER_KIND)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        channel.basic_get(QUEUE)
    assert redis.hvals("unacked") == [b'[rubbish,"","celery"]']
    assert redis.zrange(INDEX, 0, -1) == redis.hkeys("unacked")


@pytest.mark.parametrize("off", [-86_400, 86_400], ids=["behind", "ahead"])
def test_a_clock_that_is_a_day_off_puts_nothing_back_too_soon_or_never(
    channel: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    """The channel's process has the clock. Other workers have just taken a message, and died with another."""
    wrong = lambda: true_time() + off  # noqa: E731
    for clock in ("time.time", "kombu.transport.redis.time", "kombu.transport.virtual.base.time"):
        monkeypatch.setattr(clock, wrong, raising=False)
    seconds, _ = redis.time()
    entry = f'[{sound().decode()},"","{QUEUE}"]'
    redis.hset("unacked", mapping={"fresh": entry, "overdue": entry})
    redis.zadd(INDEX, {"fresh": seconds, "overdue": seconds - 2 * channel.visibility_timeout})
    channel.qos.restore_visible(interval=1)
    assert (redis.hkeys("unacked"), redis.llen(QUEUE)) == ([b"fresh"], 1)
    taken = channel.basic_get(QUEUE)
    assert abs(redis.zscore(INDEX, taken.delivery_tag) - seconds) < 60


def puts_back(other: Any, tag: str) -> None:
    other.qos.put_back([tag])


def acknowledges(other: Any, tag: str) -> None:
    other.qos.forget(tag)
    other.qos.flush()


@pytest.mark.parametrize(("deal_with", "left"), [(puts_back, 1), (acknowledges, 0)])
def test_what_somebody_else_has_dealt_with_meanwhile_does_not_go_back_again(
    open_channel: Open,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    deal_with: Callable[[Any, str], None],
    left: int,
) -> None:
    """Between the look at what a message's note says and the script that puts it back."""
    channel, other = open_channel(), open_channel()
    redis.lpush(QUEUE, sound())
    tag = channel.basic_get(QUEUE).delivery_tag
    look = channel.server.hmget

    def somebody_is_faster(*keys: Any) -> Any:
        notes = look(*keys)
        deal_with(other, tag)
        return notes

    monkeypatch.setattr(channel.server, "hmget", somebody_is_faster)
    channel.qos.put_back([tag])
    assert (redis.llen(QUEUE), redis.hlen("unacked"), redis.zcard(INDEX)) == (left, 0, 0)
