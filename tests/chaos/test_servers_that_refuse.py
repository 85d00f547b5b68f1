"""Servers that answer and refuse, as after a failover or before a migration: nothing is lost, no worker ends."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest
from redis import Redis
from redis.exceptions import ResponseError
from tests.acceptance.work import started
from tests.chaos.conftest import Site
from tests.crew import PREFORK, Crew, eventually
from tests.plant import STEPS, Plant

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

TABLES = "commands, dead_letters"
REFUSALS = {
    "read-only": (
        ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
        [
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        ],
    ),
    "no grants": (
        [f"REVOKE SELECT, INSERT ON {TABLES} FROM runworker_worker"],
        [f"GRANT SELECT, INSERT ON {TABLES} TO runworker_worker"],
    ),
    "no tables": (
        ["ALTER TABLE commands RENAME TO commands_away", "ALTER TABLE dead_letters RENAME TO dead_letters_away"],
        ["ALTER TABLE commands_away RENAME TO commands", "ALTER TABLE dead_letters_away RENAME TO dead_letters"],
    ),
    "no column": (
        [f"ALTER TABLE {table} RENAME COLUMN task_id TO task_away" for table in ("commands", "dead_letters")],
        [f"ALTER TABLE {table} RENAME COLUMN task_away TO task_id" for table in ("commands", "dead_letters")],
    ),
}


def told(plant: Plant, statements: Sequence[str]) -> None:
    """Have the owner say so, outside of any transaction."""
    with psycopg.connect(plant.url.replace("+psycopg", ""), autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement)


def test_postgres_that_refuses_decides_nothing(site: Site) -> None:
    crew, plant = site.crew, site.plant
    worker = crew.hire(PREFORK)
    for number, (name, (refuse, mend)) in enumerate(REFUSALS.items()):
        run = started(crew)
        before = len(crew.written())
        told(plant, refuse)
        command = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        misspelt = crew.upstream.send_task("runworker.advance_step", kwargs={"run_id": run}, task_id=f"misspelt {name}")
        unknown = crew.upstream.send_task("runworker.nothing_of_ours", kwargs={}, task_id=f"unknown {name}")
        crew.push(f"no message: {name}".encode())
        for event in ("message.requeued", "dead_letter.postponed"):
            eventually(partial(said, crew, before, event), f"{name}: {event}")
        assert crew.stored_result(command.id) is None
        told(plant, mend)

        assert crew.verdict(command)["status"] == "APPLIED"
        assert crew.verdict(misspelt)["code"] == "MISSING_FIELD"
        assert crew.verdict(unknown)["code"] == "UNKNOWN_COMMAND"
        crew.letter(f"no message: {name}".encode())
        crew.wait_until_idle()
        assert worker.exit_code is None
        # Of each round two are new; the body of the unknown command is always the same.
        assert plant.count("dead_letters") == 1 + 2 * (number + 1)


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


def test_a_worker_outlives_a_broker_that_refuses(site: Site) -> None:
    crew = site.crew
    worker = crew.hire()
    for refusing in (made_a_replica, without_its_replicas, unable_to_save):
        run = started(crew)
        before = len(crew.written())
        with refusing(crew.redis):
            with pytest.raises(ResponseError):
                crew.redis.set("runworker:test", "1")
            # One that cannot save refuses PING as well, which Celery calls no connection.
            eventually(
                partial(said, crew, before, r"broker\.refuses|Cannot connect", times=2), "the worker trying again"
            )
        result = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        assert crew.verdict(result)["status"] == "APPLIED"
        assert worker.exit_code is None
