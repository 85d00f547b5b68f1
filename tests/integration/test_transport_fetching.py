"""Fetching in one step: each message is in its list or in `unacked` at every moment, and comes back as it was."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import Any
from uuid import uuid4

import pytest
from kombu import Consumer, Queue
from kombu.asynchronous.hub import Hub, set_event_loop
from redis import Redis
from tests.broker import QUEUE, UNREADABLE_LIST, Open, consumed, sound
from tests.envelopes import message

from runworker.transport import reliable
from runworker.transport.fetching import AT_ONCE

pytestmark = pytest.mark.timeout(60)


def test_a_message_is_in_its_list_or_in_unacked_at_every_moment(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, *(sound() for _ in range(500)))
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            with redis.pipeline() as both:
                seen.add(sum(both.llen(QUEUE).hlen("unacked").execute()))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        found = consumed(channel, 500, prefetch=500)
    finally:
        done.set()
        watching.join()
    assert (len(found), seen) == (500, {500})
    assert redis.zcard("unacked_index") == 500


def test_an_unacked_entry_is_written_as_stock_kombu_writes_it(channel: Any, redis: Redis) -> None:
    item = sound()
    redis.lpush(QUEUE, item)
    before = time()
    (message,) = consumed(channel, 1)
    assert redis.hgetall("unacked") == {message.delivery_tag.encode(): b'[%s,"","celery"]' % item}
    ((tag, score),) = redis.zrange("unacked_index", 0, -1, withscores=True)
    assert tag == message.delivery_tag.encode()
    assert before <= score <= time()


def test_what_json_has_two_ways_to_write_comes_back_as_it_was(channel: Any, redis: Redis) -> None:
    odd = {"empty": [], "none": {}, "large": 2**63 + 1, "float": 0.1, "text": "\u0000 \u2028 árvíztűrő", "null": None}
    redis.lpush(QUEUE, sound(headers=odd))
    (message,) = consumed(channel, 1)
    message.requeue()
    (again,) = consumed(channel, 1)
    assert {name: again.headers[name] for name in odd} == odd
    assert again.headers["redelivered"] is True


def test_the_server_may_forget_the_script(channel: Any, redis: Redis) -> None:
    for _ in range(2):
        redis.script_flush()
        redis.lpush(QUEUE, sound())
        assert len(consumed(channel, 1)) == 1


def test_large_messages_fill_the_prefetch_count_before_they_are_many(channel: Any, redis: Redis) -> None:
    # As wide as a bulk message: fifty commands. A worker that took them by number would leave none to others.
    large = message({"idempotency_key": str(uuid4()), "commands": ["x" * 300] * 50}).content
    redis.lpush(QUEUE, *(large for _ in range(50)))
    found: list[Any] = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append, prefetch_count=200):
        while channel.qos.can_consume():
            channel.connection.client.drain_events(timeout=30)
        unacked = len(found)
        assert 2 < unacked < 25
        assert redis.llen(QUEUE) == 50 - unacked
        for each in found:
            each.ack()
        channel.connection.client.drain_events(timeout=30)
    assert len(found) > unacked


def test_no_more_are_taken_than_a_consumer_wants(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, *(sound() for _ in range(10)))
    found: list[Any] = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append, prefetch_count=3):
        channel.connection.client.drain_events(timeout=30)
        assert (len(found), redis.llen(QUEUE), redis.hlen("unacked")) == (3, 7, 3)
        found[0].ack()
        channel.connection.client.drain_events(timeout=30)
        assert (len(found), redis.llen(QUEUE), redis.hlen("unacked")) == (4, 6, 3)


def test_a_consumer_that_wants_everything_gets_it_in_portions(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, *(sound() for _ in range(AT_ONCE + 1)))
    found: list[Any] = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append):
        channel.connection.client.drain_events(timeout=30)
        assert (len(found), redis.llen(QUEUE)) == (AT_ONCE, 1)


def test_large_messages_are_taken_few_at_a_time(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, *(sound(headers={"large": "x" * 100_000}) for _ in range(3)))
    found: list[Any] = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append):
        channel.connection.client.drain_events(timeout=30)
    assert (len(found), redis.llen(QUEUE)) == (2, 1)


def test_urgent_messages_come_first_from_every_queue(channel: Any, redis: Redis) -> None:
    for queue in ("one", "two"):
        for step in (9, 6, 3, 0):
            redis.lpush(channel._q_for_pri(queue, step), sound(priority=step), sound(priority=step))
    found = consumed(channel, 16, "one", "two")
    assert [each.properties["priority"] for each in found] == sorted([0, 3, 6, 9] * 4)
    assert not redis.keys("one*") + redis.keys("two*")


def test_a_long_queue_does_not_hold_up_a_short_one(channel: Any, redis: Redis) -> None:
    redis.lpush("long", *(sound() for _ in range(4 * AT_ONCE)))
    redis.lpush("short", sound())
    found = consumed(channel, 2 * AT_ONCE, "long", "short")
    assert "short" in {each.delivery_info["routing_key"] for each in found[: AT_ONCE + 1]}


def test_a_consumer_is_told_of_a_message(channel: Any, redis: Redis) -> None:
    channel.brpop_timeout = 3600  # so it never asks unless it is told
    found: list[Any] = []
    with Consumer(channel, [Queue("one"), Queue("two")], on_message=found.append):
        with pytest.raises(TimeoutError):
            channel.connection.client.drain_events(timeout=0.1)
        for queue in ("two", "one", "two"):
            redis.lpush(channel._q_for_pri(queue, 6), sound())
            channel.connection.client.drain_events(timeout=30)
            assert found.pop().delivery_info["routing_key"] == queue


def test_a_consumer_at_its_prefetch_count_stays_connected_while_more_comes_in(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound(), sound())
    found: list[Any] = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append, prefetch_count=1):
        channel.connection.client.drain_events(timeout=30)
        socket = channel.client.connection._sock
        for _ in range(3):
            redis.lpush(QUEUE, sound())
            with suppress(TimeoutError):  # what the server tells ends the wait
                channel.connection.client.drain_events(timeout=0.05)
        assert len(found) == 1
        found[0].ack()
        channel.connection.client.drain_events(timeout=30)
        assert channel.client.connection._sock is socket
    assert len(found) == 2


def test_acknowledgements_of_a_tick_go_together(channel: Any, redis: Redis) -> None:
    def calls() -> int:
        return int(redis.info("commandstats").get("cmdstat_hdel", {"calls": 0})["calls"])

    hub, connection, found = Hub(), channel.connection.client, []
    try:
        connection.transport.register_with_event_loop(connection.connection, hub)
        with Consumer(channel, [Queue(QUEUE)], on_message=lambda message: (found.append(message), message.ack())):
            before = calls()
            redis.lpush(QUEUE, *(sound() for _ in range(AT_ONCE)))
            while len(found) < AT_ONCE or redis.hlen("unacked"):
                hub.run_once()
            # Two when the fetch came in the middle of the push; more when a tick took longer than a second.
            assert calls() - before < AT_ONCE / 4
    finally:
        hub.close()
        set_event_loop(None)
    assert redis.zcard("unacked_index") == 0


def test_an_acknowledgement_from_another_thread_does_not_wait_for_the_loop(channel: Any, redis: Redis) -> None:
    hub, connection, found = Hub(), channel.connection.client, []
    try:
        connection.transport.register_with_event_loop(connection.connection, hub)
        with Consumer(channel, [Queue(QUEUE)], on_message=found.append):
            redis.lpush(QUEUE, sound())
            while not found:
                hub.run_once()
            acknowledging = threading.Thread(target=found[0].ack)
            acknowledging.start()
            acknowledging.join()
            assert hub._ready or not redis.hlen("unacked")
            while redis.hlen("unacked"):
                hub.run_once()
    finally:
        hub.close()
        set_event_loop(None)


def test_a_consumer_that_raises_leaves_the_rest_in_the_queue(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, *(sound() for _ in range(5)))
    found: list[Any] = []

    def fail(message: Any) -> None:
        found.append(message)
        if len(found) == 2:
            raise RuntimeError("on purpose")

    with Consumer(channel, [Queue(QUEUE)], on_message=fail), pytest.raises(RuntimeError, match="on purpose"):
        channel.connection.client.drain_events(timeout=30)
    assert (redis.llen(QUEUE), redis.hlen("unacked")) == (3, 2)


def test_an_answer_that_is_on_its_way_goes_back(channel: Any, redis: Redis) -> None:
    items = [sound() for _ in range(3)]
    redis.lpush(QUEUE, *items)
    Consumer(channel, [Queue(QUEUE)], on_message=pytest.fail).consume()
    channel.connection.cycle.on_poll_start()
    channel.close()
    assert (redis.llen(QUEUE), redis.hlen("unacked"), redis.zcard("unacked_index")) == (3, 0, 0)
    tags = [json.loads(item)["properties"]["delivery_tag"] for item in redis.lrange(QUEUE, 0, -1)]
    assert tags == [json.loads(item)["properties"]["delivery_tag"] for item in reversed(items)]


def test_a_fetch_that_is_on_its_way_is_not_sent_again(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound())
    found: list[Any] = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append):
        for _ in range(2):  # ticks that pass before the server answers
            channel.connection.cycle.on_poll_start()
        channel.connection.client.drain_events(timeout=30)
    assert redis.hkeys("unacked") == [found[0].delivery_tag.encode()]


def test_an_answer_on_its_way_outlasts_the_end_of_another_connection(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound())
    other = channel.async_pool.get_connection()
    found: list[Any] = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append):
        channel.connection.cycle.on_poll_start()
        other.disconnect()
        channel.connection.client.drain_events(timeout=30)
    assert redis.hkeys("unacked") == [found[0].delivery_tag.encode()]


def test_a_channel_closes_after_a_fetch_that_its_connection_did_not_outlast(channel: Any, redis: Redis) -> None:
    Consumer(channel, [Queue(QUEUE)], on_message=pytest.fail).consume()
    channel.connection.cycle.on_poll_start()
    channel.client.connection.disconnect()
    channel.close()
    assert redis.zrange("unacked_leases", 0, -1, withscores=True)[0][1] == 0


def test_where_nothing_is_acknowledged_the_consumers_own_error_is_seen(open_channel: Open, redis: Redis) -> None:
    channel = open_channel(ack_emulation=False)
    redis.lpush(QUEUE, sound(), sound())

    def fail(message: Any) -> None:
        raise RuntimeError("on purpose")

    with Consumer(channel, [Queue(QUEUE)], on_message=fail), pytest.raises(RuntimeError, match="on purpose"):
        channel.connection.client.drain_events(timeout=30)


def test_a_message_that_needs_no_acknowledgement_is_not_entered_as_unacked(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound(), sound())
    assert consumed(channel, 1, no_ack=True)
    assert channel.basic_get(QUEUE, no_ack=True) or not redis.llen(QUEUE)
    assert (redis.llen(QUEUE), redis.hlen("unacked")) == (0, 0)


def test_a_single_look_without_acknowledgement_notes_nothing(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound())
    assert channel.basic_get(QUEUE, no_ack=True)
    assert (redis.llen(QUEUE), redis.hlen("unacked"), redis.zcard("unacked_index")) == (0, 0, 0)


def test_what_is_put_back_by_its_consumer_comes_after_all_others(channel: Any, redis: Redis) -> None:
    redis.lpush(QUEUE, sound({"number": 1}), sound({"number": 2}))
    channel.basic_get(QUEUE).requeue()
    assert [channel.basic_get(QUEUE).headers["number"] for _ in range(2)] == [2, 1]


def test_every_key_has_the_prefix(open_channel: Open, redis: Redis) -> None:
    channel = open_channel(global_keyprefix="plant:")
    redis.lpush(f"plant:{QUEUE}", sound(), b"rubbish", sound(), sound())
    first, second, third = consumed(channel, 3)
    assert (redis.hlen("plant:unacked"), redis.zcard("plant:unacked_index")) == (3, 3)
    first.ack()
    second.requeue()
    assert (redis.hlen("plant:unacked"), redis.zcard("plant:unacked_index")) == (1, 1)
    third.reject()
    assert channel.basic_get(QUEUE) is not None
    assert {key.partition(b":")[0] for key in redis.keys("*")} == {b"plant"}
    assert redis.lrange(f"plant:{UNREADABLE_LIST}", 0, -1) == [b"rubbish"]


@pytest.mark.parametrize("taker", [reliable, str], ids=["ours-took", "stock-took"])
@pytest.mark.parametrize("restorer", [reliable, str], ids=["ours-restores", "stock-restores"])
def test_either_transport_restores_the_unacked_messages_of_a_dead_worker(
    open_channel: Open, redis: Redis, taker: Callable[[str], str], restorer: Callable[[str], str]
) -> None:
    redis.lpush(QUEUE, sound(priority=3, delivery_info={"exchange": "", "routing_key": QUEUE}))
    (message,) = consumed(open_channel(taker), 1)
    open_channel(restorer, visibility_timeout=-1).qos.restore_visible(num=None, interval=1)
    assert (redis.hlen("unacked"), redis.zcard("unacked_index")) == (0, 0)
    (again,) = consumed(open_channel(restorer), 1)
    assert (again.body, again.properties["priority"]) == (message.body, 3)
    assert again.delivery_info["redelivered"] is True


@pytest.mark.parametrize("rubbish", [b"hello", b"\xff\0", b'{"properties": 5, "headers": 1e999}', b"[1]"])
def test_an_item_whose_worker_died_before_reading_it_bars_nobody(
    open_channel: Open, channel: Any, redis: Redis, rubbish: bytes
) -> None:
    redis.hset("unacked", "no entry", b"at all")
    redis.zadd("unacked_index", {"no entry": 1})
    for item in (sound(), rubbish, sound()):
        redis.lpush(QUEUE, item)
    _left, taken, *_others = redis.execute_command(*channel._fetch_request([QUEUE], 3).by_text())
    assert len(taken) == 3
    open_channel(visibility_timeout=-1).qos.restore_visible(num=None, interval=1)
    assert len(consumed(channel, 2)) == 2
    assert channel.basic_get(QUEUE) is None
    (unreadable,) = redis.lrange(UNREADABLE_LIST, 0, -1)
    assert unreadable == rubbish or json.loads(unreadable) == json.loads(rubbish)
