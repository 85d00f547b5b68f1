"""The transport on a real broker: an item that is no message goes to the unreadable list, and no message is lost."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu.transport.virtual import Channel
from redis import Redis
from tests.broker import QUEUE, UNREADABLE_LIST, consumed, sound

pytestmark = pytest.mark.timeout(60)


def popped(channel: Channel, count: int) -> list[Any]:
    """Messages as `basic_get` gives them."""
    return [channel.basic_get(QUEUE) for _ in range(count)]


both_ways = pytest.mark.parametrize("taken", [popped, consumed])


@both_ways
def test_an_item_that_is_no_message_goes_to_the_unreadable_list_as_it_came(
    channel: Channel, redis: Redis, taken: Callable[[Channel, int], list[Any]]
) -> None:
    rubbish = [b"hello", b"\xff\0", b"{}", b"x" * 5_000_000]
    for item in rubbish:
        redis.lpush(QUEUE, item, sound())
    messages = taken(channel, len(rubbish))
    assert all(each.headers["task"] == "runworker.start_run" for each in messages)
    assert redis.lrange(UNREADABLE_LIST, 0, -1) == rubbish[::-1]
    assert not redis.llen(QUEUE)


@both_ways
def test_priorities_are_lists_of_one_queue(
    channel: Channel, redis: Redis, taken: Callable[[Channel, int], list[Any]]
) -> None:
    beside = channel._q_for_pri(QUEUE, 9)
    assert beside != QUEUE
    redis.lpush(beside, b"rubbish", sound(priority=9))
    redis.lpush(QUEUE, sound())
    assert sorted(each.properties["priority"] for each in taken(channel, 2)) == [0, 9]
    assert redis.lrange(UNREADABLE_LIST, 0, -1) == [b"rubbish"]


@both_ways
def test_a_tag_used_twice_hides_no_message(
    channel: Channel, redis: Redis, taken: Callable[[Channel, int], list[Any]]
) -> None:
    redis.lpush(QUEUE, sound(delivery_tag="same"), sound(delivery_tag="same"))
    first, second = taken(channel, 2)
    assert redis.hlen("unacked") == 2
    first.ack()
    assert redis.hlen("unacked") == 1
    second.ack()
    assert not redis.hlen("unacked")


@both_ways
@pytest.mark.parametrize("address", [{}, {"exchange": "nowhere", "routing_key": "no one"}], ids=["none", "unknown"])
def test_a_message_goes_back_to_where_it_came_from(
    channel: Channel, redis: Redis, taken: Callable[[Channel, int], list[Any]], address: dict[str, str]
) -> None:
    redis.lpush(QUEUE, sound(delivery_info=address))
    (first,) = taken(channel, 1)
    first.requeue()
    assert (redis.llen(QUEUE), redis.hlen("unacked")) == (1, 0)
    (second,) = taken(channel, 1)
    assert second.body == first.body
    assert second.delivery_info["redelivered"] is True


def test_what_a_closing_consumer_holds_goes_back(channel: Channel, redis: Redis) -> None:
    redis.lpush(QUEUE, *(sound() for _ in range(3)))
    popped(channel, 3)
    assert (redis.llen(QUEUE), redis.hlen("unacked")) == (0, 3)
    channel.close()
    assert (redis.llen(QUEUE), redis.hlen("unacked")) == (3, 0)


def test_an_empty_queue_gives_nothing(channel: Channel, redis: Redis) -> None:
    redis.lpush(QUEUE, b"rubbish")
    assert popped(channel, 1) == [None]
    assert redis.lrange(UNREADABLE_LIST, 0, -1) == [b"rubbish"]
