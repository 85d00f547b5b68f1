"""Servers that answer and refuse, as after a failover or before a migration: nothing is lost, no worker ends."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from redis import Redis
from redis.exceptions import ResponseError
from tests.acceptance.work import started
from tests.chaos.conftest import Site
from tests.crew import PREFORK, THREADS, Crew, eventually
from tests.plant import STEPS, Plant

from runworker.workers.processes import SOLO

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

TABLES = "commands, dead_letters"
WORKERS = {
    "prefork": (300, PREFORK, {}),
    "solo, kombu's transport": (40, SOLO, {"reliable_transport": False}),
    "threads, one by one": (40, THREADS, {"batch_size": 1}),
}
"""Commands under each fault, half of them sent before it and half during it; the worker's options; its settings."""


@contextmanager
def a_standby(site: Site) -> Iterator[None]:
    """PostgreSQL as a failover leaves it for a while: it answers, and takes no writes before it is promoted."""
    site.postgres.stop()
    site.start_postgres(standby=True)
    yield
    told(site.plant, ["SELECT pg_promote()"])


@contextmanager
def without_grants(site: Site) -> Iterator[None]:
    told(site.plant, [f"REVOKE SELECT, INSERT ON {TABLES} FROM runworker_worker"])
    yield
    told(site.plant, [f"GRANT SELECT, INSERT ON {TABLES} TO runworker_worker"])


@contextmanager
def without_tables(site: Site) -> Iterator[None]:
    told(site.plant, [f"ALTER TABLE {table} RENAME TO {table}_away" for table in TABLES.split(", ")])
    yield
    told(site.plant, [f"ALTER TABLE {table}_away RENAME TO {table}" for table in TABLES.split(", ")])


@contextmanager
def without_a_guard(site: Site) -> Iterator[None]:
    told(site.plant, ["ALTER TABLE lots DISABLE TRIGGER guard_lots_truncate"])
    yield
    told(site.plant, ["ALTER TABLE lots ENABLE TRIGGER guard_lots_truncate"])


FAULTS = {
    "postgresql-standby": a_standby,
    "rights-missing": without_grants,
    "tables-missing": without_tables,
    "guards-disabled": without_a_guard,
}
"""By the blocker that a worker finds."""


def told(plant: Plant, statements: Sequence[str]) -> None:
    """Have the owner say so, outside of any transaction."""
    with psycopg.connect(plant.url.replace("+psycopg", ""), autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement)


@pytest.mark.parametrize("kind", WORKERS)
def test_postgres_that_refuses_decides_nothing(site: Site, kind: str) -> None:
    crew, plant = site.crew, site.plant
    many, options, settings = WORKERS[kind]
    worker = crew.hire(options, retry_seconds=0.2, **settings)
    unreadable = 0
    for number, (name, fault) in enumerate(FAULTS.items(), 1):
        before = len(crew.written())
        sent = [crew.send("start_run").id for _ in range(many // 2)]
        with fault(site):
            sent += [crew.send("start_run").id for _ in range(many // 2)]
            misspelt = crew.upstream.send_task("runworker.start_run", kwargs={name: 1}, task_id=f"misspelt {name}")
            crew.upstream.send_task("runworker.nothing_of_ours", kwargs={}, task_id=f"unknown {name}")
            if settings.get("reliable_transport", True):  # kombu's own ends at an item that is no message
                crew.push(f"no message: {name}".encode())
                unreadable += 1
            eventually(partial(said, crew, before, f"{name}.*intake.closed"), f"{name}: the intake closed", seconds=20)
            eventually(lambda: not crew.held(), f"{name}: everything given back", seconds=20)
            assert asked(crew, worker.name)["blockers"][0]["name"] == name

        eventually(partial(applied, plant, many * number), f"{name}: all decided", seconds=30)
        assert crew.verdict(misspelt)["code"] == "MISSING_FIELD"
        crew.wait_until_idle()
        assert {crew.stored_result(key)["status"] for key in sent} == {"APPLIED"}
        assert crew.stored_result(f"unknown {name}")["code"] == "UNKNOWN_COMMAND"
        # The body of the unknown command is always the same.
        assert plant.count("dead_letters") == 1 + number + unreadable
        assert worker.exit_code is None


def asked(crew: Crew, worker: str) -> Any:
    """What a worker tells of its readiness."""
    (answer,) = crew.upstream.control.broadcast("readiness", destination=[worker], reply=True, timeout=20, limit=1)
    return answer[worker]


def applied(plant: Plant, many: int) -> bool:
    """Whether so many commands stand as APPLIED in the ledger."""
    return plant.count("commands", "status = 'APPLIED'") == many


def said(crew: Crew, before: int, event: str, times: int = 1) -> bool:
    """Whether the log tells of an event so often, after so many characters."""
    return len(re.findall(event, crew.written()[before:])) >= times


@contextmanager
def made_a_replica(redis: Redis) -> Iterator[None]:
    redis.replicaof("127.0.0.1", "1")
    yield
    redis.replicaof("NO", "ONE")


@contextmanager
def without_its_replicas(redis: Redis) -> Iterator[None]:
    redis.config_set("min-replicas-to-write", "1")
    yield
    redis.config_set("min-replicas-to-write", "0")


@contextmanager
def unable_to_save(redis: Redis) -> Iterator[None]:
    folder = redis.config_get("dir")["dir"]
    redis.config_set("save", "3600 1")
    mode = os.stat(folder).st_mode  # noqa: PTH116 - the path is the server's
    os.chmod(folder, 0o500)  # noqa: PTH101
    redis.bgsave()
    eventually(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", "a snapshot failing")
    yield
    os.chmod(folder, mode)  # noqa: PTH101
    redis.config_set("save", "")


@contextmanager
def without_its_primary(redis: Redis) -> Iterator[None]:
    redis.config_set("replica-serve-stale-data", "no")
    redis.replicaof("127.0.0.1", "1")
    yield
    redis.replicaof("NO", "ONE")


@contextmanager
def busy_with_a_script(redis: Redis) -> Iterator[None]:
    redis.config_set("busy-reply-threshold", "10")
    beside = redis.connection_pool.make_connection()
    beside.send_command("EVAL", "while true do end", 0)
    yield
    redis.script_kill()
    beside.disconnect()


@contextmanager
def sparing_with_rights(redis: Redis) -> Iterator[None]:
    redis.execute_command("ACL", "SETUSER", "default", "-@scripting", "-set")
    yield
    redis.execute_command("ACL", "SETUSER", "default", "+@all")


REFUSALS = (
    made_a_replica,
    without_its_replicas,
    unable_to_save,
    without_its_primary,
    busy_with_a_script,
    sparing_with_rights,
)

TRIES_AGAIN = r"broker\.refuses|Cannot connect"
"""Some refuse PING as well, which Celery calls no connection."""


@pytest.mark.parametrize(("reliable", "refusals"), [(True, REFUSALS), (False, REFUSALS[:2])], ids=["ours", "kombu's"])
def test_a_worker_outlives_a_broker_that_refuses(site: Site, reliable: bool, refusals: Sequence[Any]) -> None:
    crew = site.crew
    worker = crew.hire(reliable_transport=reliable)
    for refusing in refusals:
        run = started(crew)
        before, began = len(crew.written()), time.monotonic()
        with refusing(crew.redis):
            with pytest.raises(ResponseError):
                crew.redis.set("runworker:test", "1")
            eventually(partial(said, crew, before, TRIES_AGAIN), f"{refusing.__name__}: trying again", seconds=20)
            lines = crew.written()[before:].count("celery.worker.consumer.consumer")
            assert lines <= 3 + 3 * (time.monotonic() - began), "it pauses"
        mended = time.monotonic()
        result = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        assert crew.verdict(result)["status"] == "APPLIED"
        assert time.monotonic() - mended < 10
        assert worker.exit_code is None


def test_a_worker_starts_on_a_broker_that_refuses(site: Site) -> None:
    crew = site.crew
    sent = crew.send("start_run")
    with ExitStack() as refusal, ThreadPoolExecutor(1) as beside:
        refusal.enter_context(made_a_replica(crew.redis))
        mended = beside.submit(lambda: eventually(partial(said, crew, 0, TRIES_AGAIN), "a try") and refusal.close())
        worker = crew.hire()
        mended.result()
    assert crew.verdict(sent)["status"] == "APPLIED"
    assert worker.exit_code is None


def test_a_full_broker_is_worked_off(site: Site) -> None:
    """Results cannot be stored. What is committed is acknowledged all the same, and nothing comes again and again."""
    crew, plant = site.crew, site.plant
    crew.hire()
    started(crew)
    crew.dismiss()
    sent = [crew.send("start_run") for _ in range(300)]
    before = len(crew.written())
    crew.redis.config_set("maxmemory", "1")
    with pytest.raises(ResponseError):
        crew.redis.set("runworker:test", "1")
    worker = crew.hire()
    crew.wait_until_idle()
    deliveries = "SELECT count(*), max(deliveries), min(status), max(status) FROM commands WHERE task_id = ANY(:ids)"
    assert tuple(plant.sql(deliveries, ids=[each.id for each in sent])[0]) == (300, 1, "APPLIED", "APPLIED")
    assert crew.stored_result(sent[0].id) is None
    assert 1 <= crew.written()[before:].count("verdict.untold") <= 30

    crew.redis.config_set("maxmemory", "0")
    assert crew.verdict(crew.send("start_run"))["status"] == "APPLIED"
    assert worker.exit_code is None
