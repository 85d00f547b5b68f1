"""Servers whose disks are full: workers wait and go on by themselves, nothing is lost, no worker ends."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import make_url
from tests.chaos.conftest import Site
from tests.chaos.small_disks import SmallDisk, small_disk
from tests.chaos.test_servers_that_refuse import TRIES_AGAIN, WORKERS, applied, said
from tests.crew import PREFORK, Crew, eventually

from runworker.workers.processes import SOLO

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

TOGETHER = 50
"""Commands sent one after the other."""

PAUSE_SECONDS = 2
"""Between two attempts of a worker."""


@pytest.fixture
def broker_disk(migrated_directory: Path) -> Iterator[SmallDisk]:
    """What Valkey keeps is on a small disk. Named before `site`."""
    with small_disk(migrated_directory / "valkey") as disk:
        yield disk


@pytest.fixture
def postgres_disk(migrated_directory: Path) -> Iterator[SmallDisk]:
    """A small disk for PostgreSQL. Named before `site`."""
    with small_disk(migrated_directory / "tables") as disk:
        yield disk


def sent(crew: Crew, many: int = TOGETHER) -> list[AsyncResult]:
    return [crew.send("start_run") for _ in range(many)]


def keep_tables_on(disk: SmallDisk, site: Site) -> None:
    url = make_url(site.plant.url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as owner:
        owner.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder}'")
        owner.execute("ALTER DATABASE runworker SET TABLESPACE small")


@pytest.mark.parametrize("kind", WORKERS)
def test_a_full_disk_under_the_tables_decides_nothing(postgres_disk: SmallDisk, site: Site, kind: str) -> None:
    crew, plant = site.crew, site.plant
    _, options, settings = WORKERS[kind]
    keep_tables_on(postgres_disk, site)
    worker = crew.hire(options, retry_seconds=0.2, **settings)
    commands = sent(crew)
    eventually(partial(applied, plant, len(commands)), "the first ones decided")

    postgres_disk.fill()
    closed = partial(said, crew, 0, "No space left on device.*intake.closed")
    for _ in range(20):  # pages that are there already are used up first
        commands += sent(crew)
        eventually(lambda: closed() or not crew.queued(), "the worker fetched them", seconds=20)
        if closed():
            break
    assert closed()
    misspelt = crew.upstream.send_task("runworker.start_run", kwargs={}, task_id="misspelt")
    commands += sent(crew)
    eventually(lambda: not crew.held(), "everything given back", seconds=20)
    postgres_disk.free()

    eventually(partial(applied, plant, len(commands)), "all decided", seconds=30)
    assert crew.verdict(misspelt)["code"] == "MISSING_FIELD"
    crew.wait_until_idle()
    assert {crew.stored_result(each.id)["status"] for each in commands} == {"APPLIED"}
    assert plant.count("dead_letters") == 1
    assert worker.exit_code is None


def appends(redis: Redis) -> None:
    """Have Valkey answer before its append-only file is on the disk: then it refuses where it would end."""
    redis.config_set("appendfsync", "everysec")


def saves(redis: Redis) -> None:
    """Have Valkey keep snapshots only, one a second."""
    redis.config_set("appendonly", "no")
    redis.config_set("save", "1 1")


def has_ended(site: Site) -> bool:
    """Whether Valkey has ended, given something to write that fits into no page it has already."""
    with suppress(RedisError):
        site.crew.redis.set("runworker:test", bytes(8192))
    return site.valkey.exit_code is not None


def refuses(redis: Redis) -> bool:
    """Whether Valkey refuses to write, as its disk is full."""
    try:
        redis.set("runworker:test", "1")
    except ResponseError as error:
        return str(error).startswith("MISCONF")
    return False


@pytest.mark.parametrize("options", [PREFORK, SOLO], ids=["prefork", "solo"])
@pytest.mark.parametrize("keeps", [appends, saves])
def test_a_worker_outlives_a_full_disk_under_the_broker(
    broker_disk: SmallDisk, site: Site, keeps: Callable[[Redis], None], options: Sequence[str]
) -> None:
    crew = site.crew
    keeps(crew.redis)
    worker = crew.hire(options)
    commands = sent(crew, 300)
    eventually(partial(site.plant.count, "commands"), "the worker at work")

    broker_disk.fill()
    eventually(partial(refuses, crew.redis), "Valkey refusing", seconds=20)
    before, began = len(crew.written()), time.monotonic()
    eventually(partial(said, crew, before, TRIES_AGAIN, times=3), "the worker trying again", seconds=30)
    assert len(re.findall(TRIES_AGAIN, crew.written()[before:])) <= 2 + (time.monotonic() - began) / PAUSE_SECONDS
    with pytest.raises((OperationalError, ResponseError)):
        crew.send("start_run")
    broker_disk.free()

    eventually(lambda: not refuses(crew.redis), "Valkey taking writes", seconds=20)
    commands += sent(crew)
    eventually(partial(applied, site.plant, len(commands)), "all decided", seconds=30)
    crew.wait_until_idle()
    assert site.plant.count("dead_letters") == 0
    assert worker.exit_code is None


def test_nothing_is_lost_with_a_broker_that_ends_on_a_full_disk(broker_disk: SmallDisk, site: Site) -> None:
    """With `appendfsync always` Valkey has on disk what it accepted, and ends where it cannot."""
    crew = site.crew
    worker = crew.hire(PREFORK)
    commands = sent(crew, 300)
    broker_disk.fill()
    eventually(partial(has_ended, site), "Valkey ending", seconds=20)
    eventually(partial(said, crew, 0, "Cannot connect"), "the worker trying again", seconds=20)
    broker_disk.free()
    site.start_valkey()

    commands += sent(crew)
    eventually(partial(applied, site.plant, len(commands)), "all decided", seconds=30)
    crew.wait_until_idle()
    assert site.plant.count("dead_letters") == 0
    assert worker.exit_code is None
