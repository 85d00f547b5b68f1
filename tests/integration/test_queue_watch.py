"""The watch on the queue tells up to when all that was sent was looked at, and not a moment more."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from tests.broker import sound
from tests.plant import Plant

from runworker.engine import Engine
from runworker.upkeep.queue_watch import NOTHING_SEEN, QueueWatch

QUEUE = "watched"
Look = Callable[[], datetime]


@pytest.fixture
def queues() -> list[str]:
    """Those that the worker consumes."""
    return [QUEUE]


@pytest.fixture
def watch(queues: list[str]) -> QueueWatch:
    return QueueWatch(lambda: queues, comes_back=timedelta(hours=1))


@pytest.fixture
def look(watch: QueueWatch, engine: Engine, channel: Any) -> Look:
    return lambda: watch.seen_until(engine, SimpleNamespace(default_channel=channel))


def now(plant: Plant) -> datetime:
    return plant.sql("SELECT clock_timestamp()")[0][0]


def test_an_empty_queue_is_seen_after_two_marks(plant: Plant, look: Look) -> None:
    assert [look(), look()] == [NOTHING_SEEN] * 2
    between = now(plant)
    assert NOTHING_SEEN < look() < between < [look(), look()][-1] < now(plant)


@pytest.mark.parametrize("priority", ["", "\x06\x169"], ids=["first", "last"])
def test_what_lies_in_the_queue_is_not_seen(look: Look, redis: Redis, priority: str) -> None:
    redis.lpush(QUEUE + priority, "older", "newer")
    assert {look() for _ in range(5)} == {NOTHING_SEEN}
    redis.rpop(QUEUE + priority)
    redis.lpush(QUEUE + priority, "newest")
    assert {look() for _ in range(5)} == {NOTHING_SEEN}
    redis.rpop(QUEUE + priority)
    assert look() == NOTHING_SEEN
    redis.rpop(QUEUE + priority)
    assert look() > NOTHING_SEEN


def test_what_comes_back_is_not_seen(look: Look, redis: Redis) -> None:
    """Its worker died: for a moment it is in the list again, after a mark that did not have it there."""
    redis.hset("unacked", "tag", "held")
    assert {look() for _ in range(5)} == {NOTHING_SEEN}
    redis.hdel("unacked", "tag")
    redis.rpush(QUEUE, "held")
    assert {look() for _ in range(5)} == {NOTHING_SEEN}
    redis.rpop(QUEUE)
    assert look() > NOTHING_SEEN


def test_nothing_is_seen_while_messages_go_back(look: Look, channel: Any, redis: Redis) -> None:
    """Undecided, and again and again: each mark is gone although nobody has done with the message."""
    redis.lpush(QUEUE, sound())
    for _ in range(4):
        held = channel.basic_get(QUEUE)
        assert look() == NOTHING_SEEN
        held.requeue()
        assert look() == NOTHING_SEEN
    channel.basic_get(QUEUE).ack()
    channel.flush()
    assert {look() for _ in range(3)} == {NOTHING_SEEN}
    redis.delete("unacked_returned")  # as after a while
    assert {look() for _ in range(2)} == {NOTHING_SEEN}
    assert look() > NOTHING_SEEN


def test_what_a_worker_keeps_for_later_is_not_waited_for(look: Look, watch: QueueWatch, redis: Redis) -> None:
    redis.hset("unacked", "tag", "due tomorrow")
    assert {look() for _ in range(3)} == {NOTHING_SEEN}
    watch._comes_back = timedelta(0)
    assert [look(), look()][-1] > NOTHING_SEEN


def test_a_queue_that_an_operator_adds_is_watched_until_it_is_cancelled(
    look: Look, queues: list[str], redis: Redis
) -> None:
    queues.append("added")
    redis.lpush("added", "lies there")
    assert {look() for _ in range(5)} == {NOTHING_SEEN}
    queues.remove("added")
    assert [look(), look()][-1] > NOTHING_SEEN
