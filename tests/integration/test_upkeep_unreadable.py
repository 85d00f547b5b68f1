"""The unreadable list: any number of workers move its items to dead_letters, and each item counts once."""

from threading import Barrier
from typing import Any

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError
from tests.crew import Crew
from tests.outsider import Outsider
from tests.plant import Plant

from runworker.transport import UNREADABLE, reliable
from runworker.upkeep.dead_letters import collect_unreadable

ITEMS, WORKERS = 40, 4


def test_workers_that_collect_at_once_count_each_item_once(plant: Plant, broker_url: str) -> None:
    beginning = Barrier(WORKERS)
    engines = [plant.engine() for _ in range(WORKERS)]
    with Redis.from_url(broker_url) as redis:
        redis.lpush(f"celery{UNREADABLE}", *(b"item %d" % number for number in range(ITEMS)))

        def collect(engine: Any) -> None:
            beginning.wait()
            while redis.llen(f"celery{UNREADABLE}"):
                with Connection(reliable(broker_url)) as broker:
                    collect_unreadable(engine, broker, "celery")

        for working in [plant.in_background(lambda engine=engine: collect(engine)) for engine in engines]:
            working.result(60)
    assert plant.sql("SELECT times, count(*) FROM dead_letters GROUP BY 1") == [(1, ITEMS)]


def test_a_broker_that_is_away_keeps_nobody(plant: Plant) -> None:
    with Connection(reliable("redis://127.0.0.1:1/0")) as broker, pytest.raises((OperationalError, RedisError)):
        collect_unreadable(plant.engine(), broker, "celery")


def test_an_item_whose_letter_is_held_keeps_back_no_others(plant: Plant, broker_url: str, outsider: Outsider) -> None:
    engine = plant.engine()
    unreadable = f"celery{UNREADABLE}"
    with Redis.from_url(broker_url) as redis, Connection(reliable(broker_url)) as broker:
        redis.lpush(unreadable, b"held")
        collect_unreadable(engine, broker, "celery")
        outsider.execute("SELECT FROM dead_letters FOR UPDATE")
        redis.lpush(unreadable, b"held", b"free")
        collect_unreadable(engine, broker, "celery")
        assert redis.lrange(unreadable, 0, -1) == [b"held"]
        outsider.rollback()
    assert plant.sql("SELECT raw_body, times FROM dead_letters ORDER BY id") == [(b"held", 1), (b"free", 1)]


def test_a_queue_that_an_operator_adds_is_collected_from_as_well(crew: Crew) -> None:
    worker = crew.hire()
    crew.upstream.control.add_consumer("added", destination=[worker.name])
    crew.redis.lpush("added", b"no message")
    crew.letter(b"no message")
