"""PostgreSQL goes away, is busy or loses an answer: the work is done again, and takes effect once."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import make_url, text
from structlog.testing import capture_logs
from tests.plant import Plant
from tests.proxy import Proxy

from runworker.codes import Code
from runworker.engine import Engine
from runworker.engine.sql.claims import QUEUED
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.errors import Blocked, Unavailable
from runworker.states import CommandStatus
from runworker.upkeep import sweep
from runworker.upkeep.listening import listen

APPLIED = CommandStatus.APPLIED
LOCK = text("SELECT 1 FROM production_runs WHERE id = :id FOR UPDATE")
A_LOCK_IS_AWAITED = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
OURS = "application_name = 'runworker' AND datname = current_database()"


@pytest.fixture
def proxy(plant: Plant) -> Iterator[Proxy]:
    """A proxy in front of the plant's database."""
    with Proxy(plant.url) as proxy:
        yield proxy


@pytest.fixture
def retries() -> Iterator[list[Any]]:
    """What was logged about retries."""
    with capture_logs() as events:
        yield events


def retried(events: list[Any]) -> int:
    return len([event for event in events if event["event"] == "database.retry"])


def until_retried(events: list[Any]) -> None:
    deadline = time.monotonic() + 20
    while not retried(events):
        assert time.monotonic() < deadline, "nothing was tried again"
        time.sleep(0.01)


@pytest.fixture
def run(plant: Plant, engine: Engine) -> UUID:
    """A started run."""
    (verdict,) = engine.apply([plant.command("start_run")])
    assert verdict.run_id
    return verdict.run_id


def test_connection_killed_between_batches(plant: Plant, engine: Engine, run: UUID) -> None:
    killed = plant.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")  # noqa: S608 - our words
    assert len(killed) >= 2
    (verdict,) = engine.apply([plant.command("hold_run", run_id=run)])
    assert (verdict.status, verdict.replayed) == (APPLIED, False)


def test_connection_killed_in_mid_flight(plant: Plant, engine: Engine, run: UUID, retries: list[Any]) -> None:
    command = plant.command("hold_run", run_id=run)
    with plant.transaction() as other:
        other.execute(LOCK, {"id": run})
        answer = plant.in_background(lambda: engine.apply([command]))
        plant.wait_for(A_LOCK_IS_AWAITED)
        other.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}"))  # noqa: S608 - our words
        until_retried(retries)
    (verdict,) = answer.result()
    assert (verdict.status, verdict.replayed) == (APPLIED, False)
    assert plant.count("audit_events", f"command_key = '{command.idempotency_key}'") == 1


@pytest.mark.parametrize("timeout", ["lock_timeout_seconds", "statement_timeout_seconds"])
def test_a_lock_that_is_held_too_long(plant: Plant, run: UUID, timeout: str) -> None:
    engine, command = plant.engine(**{timeout: 1}), plant.command("hold_run", run_id=run)
    with plant.transaction() as other:
        other.execute(LOCK, {"id": run})
        with pytest.raises(Blocked) as blocked:
            engine.apply([command])
    assert blocked.value.verdicts == [None]
    assert plant.applied_at_last(engine, [command])[0].status is APPLIED


def test_a_deadlock_with_somebody_else(plant: Plant, engine: Engine, retries: list[Any]) -> None:
    first, second = sorted(uuid4() for _ in range(2))
    engine.apply([plant.command("start_run", run_id=run) for run in (first, second)])
    with plant.transaction() as other:
        other.execute(text("SET LOCAL deadlock_timeout = '60s'"))
        other.execute(LOCK, {"id": second})
        answer = plant.in_background(
            lambda: engine.apply([plant.command("hold_run", run_id=run) for run in (first, second)])
        )
        plant.wait_for(A_LOCK_IS_AWAITED)
        other.execute(LOCK, {"id": first})
        until_retried(retries)
    assert {verdict.status for verdict in answer.result()} == {APPLIED}


@pytest.mark.parametrize("door", ["apply", "verdicts", "sweep", "suspects", "listen", "keep"])
def test_an_unreachable_database_is_given_up_on_in_time(plant: Plant, door: str) -> None:
    letter = NewDeadLetter(raw_body=b"x", code=Code.MALFORMED_MESSAGE, error="not JSON")
    doors: dict[str, Callable[[Engine], object]] = {
        "apply": lambda engine: engine.apply([plant.command("start_run")]),
        "verdicts": lambda engine: engine.verdicts([uuid4()]),
        "sweep": sweep,
        "suspects": lambda engine: engine.found.judge_suspect(QUEUED),
        "listen": lambda engine: listen(engine, queued=list, stopping=lambda: True),
        "keep": lambda engine: engine.keep(letter),
    }
    nowhere = make_url(plant.url).set(port=1, password="hidden").render_as_string(hide_password=False)  # noqa: S106 - not a real one
    engine = plant.engine(database_url=nowhere, retry_seconds=1)
    began = time.monotonic()
    with pytest.raises(Unavailable) as error:
        doors[door](engine)
    assert time.monotonic() - began < 10
    assert "hidden" not in str(error.value)


def test_a_server_that_comes_back_in_time(plant: Plant, proxy: Proxy, retries: list[Any]) -> None:
    engine = plant.engine(database_url=proxy.url)
    (before,) = engine.apply([plant.command("start_run")])
    proxy.go_away()
    answer = plant.in_background(lambda: engine.apply([plant.command("hold_run", run_id=before.run_id)]))
    until_retried(retries)
    proxy.come_back()
    assert answer.result()[0].status is APPLIED
    assert plant.count("commands") == 2


def test_a_commit_whose_answer_is_lost(plant: Plant, proxy: Proxy, run: UUID) -> None:
    engine = plant.engine(database_url=proxy.url)
    command = plant.command("hold_run", run_id=run)
    engine.verdicts([run])
    proxy.lose_answer_to(b"COMMIT")
    (verdict,) = engine.apply([command])
    assert proxy.lost.is_set()
    assert (verdict.status, verdict.replayed) == (APPLIED, True)
    assert engine.apply([command]) == [verdict]
    assert plant.count("audit_events", f"command_key = '{command.idempotency_key}'") == 1


def test_a_connection_lost_while_it_is_opened(plant: Plant, proxy: Proxy) -> None:
    """The role is being taken on when the server stops answering."""
    engine = plant.engine(database_url=proxy.url)
    proxy.lose_answer_to(b"SET ROLE")
    assert engine.apply([plant.command("start_run")])[0].status is APPLIED
    assert proxy.lost.is_set()


def test_a_number_whose_answer_is_lost(plant: Plant, proxy: Proxy) -> None:
    """The number is gone, the run gets the next one."""
    engine = plant.engine(database_url=proxy.url)
    engine.apply([plant.command("start_run")])
    proxy.lose_answer_to(b"COMMIT")
    (verdict,) = engine.apply([plant.command("start_run")])
    assert proxy.lost.is_set()
    assert (verdict.status, verdict.replayed, verdict.state["run_code"][-4:]) == (APPLIED, False, "0003")
    assert plant.count("production_runs") == 2


def test_a_sender_that_repeats_after_giving_up(plant: Plant, proxy: Proxy, run: UUID) -> None:
    """The commit went through, and the server is away before it can be asked again."""
    engine = plant.engine(database_url=proxy.url, retry_seconds=0)
    command = plant.command("hold_run", run_id=run)
    engine.verdicts([run])
    proxy.lose_answer_to(b"COMMIT")
    with pytest.raises(Unavailable):
        engine.apply([command])
    (verdict,) = engine.apply([command])
    assert (verdict.status, verdict.replayed) == (APPLIED, True)


def test_a_batch_cut_in_the_middle_leaves_nothing(plant: Plant, proxy: Proxy, run: UUID) -> None:
    engine = plant.engine(database_url=proxy.url, retry_seconds=0)
    picture, commands = plant.picture(), plant.count("commands")
    with plant.transaction() as other:
        other.execute(LOCK, {"id": run})
        answer = plant.in_background(
            lambda: engine.apply([plant.command("start_run"), plant.command("hold_run", run_id=run)])
        )
        plant.wait_for(A_LOCK_IS_AWAITED)
        proxy.go_away()
        with pytest.raises(Unavailable):
            answer.result()
    proxy.come_back()
    plant.wait_for(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE {OURS} AND state <> 'idle'")  # noqa: S608 - our words
    assert (plant.picture(), plant.count("commands")) == (picture, commands)
