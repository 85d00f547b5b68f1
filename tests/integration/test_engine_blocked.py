"""One blocker blocks itself only: what somebody holds keeps its own commands back, and no others."""

import time
from contextlib import suppress
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs
from tests.crew import eventually
from tests.outsider import Outsider
from tests.plant import Plant

from runworker.codes import Code
from runworker.commands import Command
from runworker.config import Settings
from runworker.engine import Engine, asked, obstacles, transactions
from runworker.engine.batch import BatchRequest, BatchResult, Resources
from runworker.engine.obstacles import PAUSE_SECONDS
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.errors import Blocked
from runworker.states import CommandStatus
from runworker.upkeep import sweep
from runworker.upkeep.expire import CHUNK, expire_overdue

APPLIED = CommandStatus.APPLIED


@pytest.fixture
def engine(plant: Plant) -> Engine:
    """An engine that waits for locks as long as it does by default."""
    return plant.engine(lock_timeout_seconds=Settings.model_fields["lock_timeout_seconds"].default)


def started(plant: Plant, engine: Engine, number: int) -> list[UUID]:
    verdicts = engine.apply([plant.command("start_run") for _ in range(number)])
    return [verdict.run_id for verdict in verdicts if verdict.run_id]


def advances(plant: Plant, runs: list[UUID], step: int) -> list[Command]:
    return [plant.command("advance_step", run_id=run, to_step_index=step) for run in runs]


def applied_around(engine: Engine, commands: list[Command], held: set[UUID]) -> tuple[list[Command], float]:
    """Apply commands of which those about `held` are blocked. Returns these, and how long it took."""
    began = time.monotonic()
    with pytest.raises(Blocked) as blocked:
        engine.apply(commands)
    verdicts = blocked.value.verdicts
    left = [command for command, verdict in zip(commands, verdicts, strict=True) if verdict is None]
    assert {command.target_run for command in left} == held
    assert {verdict.status for verdict in verdicts if verdict is not None} == {APPLIED}
    return left, time.monotonic() - began


def test_a_row_that_is_held_over_lunch(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    runs = started(plant, engine, 100)
    outsider.hold("production_runs", runs[41])
    left, took = applied_around(engine, advances(plant, runs, 1), {runs[41]})
    assert took < 8
    for step in (3, 10):  # new batches keep coming, with the blocked ones in them again
        left, took = applied_around(engine, [*left, *advances(plant, runs, step)], {runs[41]})
        assert took < 2
    assert len(left) == 3
    outsider.rollback()
    assert {verdict.status for verdict in plant.applied_at_last(engine, left)} == {APPLIED}
    assert plant.run(runs[41])[1] == 10


def test_a_lot_held_does_not_hold_the_others_of_its_run(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    (run,) = started(plant, engine, 1)
    engine.apply(advances(plant, [run], 1))
    lots = [uuid4() for _ in range(3)]
    raw = {"run_id": run, "lot_type": "RAW", "step_index": 1, "weight_kg": "10", "parents": []}
    engine.apply([plant.command("register_lot", lot_id=lot, **raw) for lot in lots])
    outsider.hold("lots", lots[0])
    decisions = [plant.command("record_qc_decision", lot_id=lot, decision="PASS") for lot in lots]
    with pytest.raises(Blocked) as blocked:
        engine.apply(decisions)
    assert [verdict and verdict.status for verdict in blocked.value.verdicts] == [None, APPLIED, APPLIED]


def test_a_rule_of_somebody_elses_keeps_back_who_breaks_it(plant: Plant, engine: Engine) -> None:
    runs = started(plant, engine, 20)
    plant.sql(
        f"ALTER TABLE production_runs ADD CONSTRAINT ck_house CHECK (id <> '{runs[7]}' OR current_step_index = 0)"
    )
    with capture_logs() as events:
        left, _ = applied_around(engine, advances(plant, runs, 1), {runs[7]})
    (told,) = [event for event in events if event["event"] == "command.blocked"]
    assert (told["key"], told["sqlstate"]) == (str(left[0].idempotency_key), "23514")
    assert "ck_house" in told["reason"]
    plant.sql("ALTER TABLE production_runs DROP CONSTRAINT ck_house")
    assert plant.applied_at_last(engine, left)[0].status is APPLIED


def test_what_a_blocked_command_would_release_is_released_when_it_is_free(
    plant: Plant, engine: Engine, outsider: Outsider
) -> None:
    """The waiting one is about the run that is held; the one it waits for is not. Neither is forgotten."""
    (held,) = started(plant, engine, 1)
    first = plant.command("start_run")
    second = plant.command("hold_run", run_id=held, after=[first.idempotency_key])
    engine.apply([second])
    outsider.hold("production_runs", held)
    with pytest.raises(Blocked):
        engine.apply([first])
    outsider.rollback()
    assert plant.applied_at_last(engine, [first])[0].status is APPLIED
    assert plant.ledger(second.idempotency_key).status == APPLIED


def test_a_blocked_command_ends_no_sweep(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    held, free = started(plant, engine, 2)
    keys = [plant.queue("advance_step", run_id=run, to_step_index=1) for run in (held, free)]
    outsider.hold("production_runs", held)
    assert sweep(engine) == 1
    assert [plant.ledger(key).status for key in keys] == ["QUEUED", "APPLIED"]
    began = time.monotonic()
    assert sweep(engine) == 0
    assert time.monotonic() - began < 1
    outsider.rollback()
    deadline = time.monotonic() + 20
    while plant.ledger(keys[0]).status != "APPLIED":
        assert time.monotonic() < deadline
        sweep(engine)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which what is in the way is tried again, in seconds: moved by the test alone."""
    now = [0.0]
    for module in (asked, obstacles):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def tried(engine: Engine, commands: list[Command]) -> tuple[int, int]:
    """Apply commands that are all blocked. Returns how many transactions failed, and how many commands were told of."""
    with capture_logs() as events, pytest.raises(Blocked) as blocked:
        engine.apply(commands)
    assert set(blocked.value.verdicts) == {None}
    names = [event["event"] for event in events]
    return names.count("batch.split"), names.count("command.blocked")


def test_of_what_is_blocked_by_one_lock_one_is_tried_and_the_rest_follows_in_order(
    plant: Plant, engine: Engine, outsider: Outsider, clock: list[float]
) -> None:
    (held,) = started(plant, engine, 1)
    commands = [plant.command(name, run_id=held) for _ in range(10) for name in ("hold_run", "resume_run")]
    outsider.hold("production_runs", held)
    assert tried(engine, commands) == (5, 1)  # halves: 20, 10, 5, 2, 1
    assert tried(engine, commands) == (0, 0)
    for told in (1, 0, 1):  # the second time, the third, the fourth
        clock[0] += PAUSE_SECONDS
        assert tried(engine, commands) == (1, told)
    outsider.rollback()
    clock[0] += PAUSE_SECONDS
    assert {verdict.status for verdict in engine.apply(commands)} == {APPLIED}
    (transactions_,) = plant.sql("SELECT count(DISTINCT xmin::text) FROM commands WHERE command <> 'start_run'")
    assert transactions_ == (2,)


def test_what_is_blocked_itself_stays_behind_what_is_released_before_it(
    plant: Plant, engine: Engine, outsider: Outsider, clock: list[float]
) -> None:
    """The lot is registered once its run is resumed, although a lock on its parent had it tried apart."""
    (run,) = started(plant, engine, 1)
    raw, new = uuid4(), uuid4()
    raw_lot = {"run_id": run, "lot_type": "RAW", "step_index": 1, "weight_kg": "10", "parents": []}
    ready = [
        *advances(plant, [run], 1),
        plant.command("register_lot", lot_id=raw, **raw_lot),
        plant.command("record_qc_decision", lot_id=raw, decision="PASS", temperature_c="2"),
        *advances(plant, [run], 3),
    ]
    assert {verdict.status for verdict in engine.apply(ready)} == {APPLIED}
    parents = [{"lot_id": raw, "quantity_used_kg": "5"}]
    bulk = {"run_id": run, "lot_type": "BULK", "step_index": 3, "weight_kg": "5", "parents": parents}
    register = plant.command("register_lot", lot_id=new, **bulk)
    hold, resume = (plant.command(name, run_id=run) for name in ("hold_run", "resume_run"))
    outsider.hold("lots", raw)
    tried(engine, [register])
    outsider.hold("production_runs", run)
    tried(engine, [hold])
    outsider.rollback()
    clock[0] += PAUSE_SECONDS
    assert [verdict.status for verdict in engine.apply([hold, resume, register])] == [APPLIED] * 3


def test_what_a_rule_refuses_is_tried_and_told_less_and_less_often(
    plant: Plant, engine: Engine, clock: list[float]
) -> None:
    commands = [plant.command("hold_run", run_id=run) for run in started(plant, engine, 10)]
    plant.sql("ALTER TABLE production_runs ADD CONSTRAINT ck_house CHECK (status <> 'HOLD')")
    rounds = {0: (19, 10), 1: (0, 0), 2: (10, 10), 5: (0, 0), 6: (10, 0), 13: (0, 0), 14: (10, 10), 29: (0, 0)}
    for seconds, expected in rounds.items():
        clock[0] = seconds
        assert (seconds, tried(engine, commands)) == (seconds, expected)
    plant.sql("ALTER TABLE production_runs DROP CONSTRAINT ck_house")
    clock[0] = 30
    assert {verdict.status for verdict in engine.apply(commands)} == {APPLIED}


def test_many_locks_are_tried_for_a_moment_in_turn(
    plant: Plant, engine: Engine, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    """Each takes a quarter of a second: as many as go into one pause are tried, and the others after that."""
    commands = [plant.command("hold_run", run_id=run) for run in started(plant, engine, 16)]
    asked_for: list[UUID] = []

    def locked(_connection: Connection, _resources: Resources, request: BatchRequest) -> BatchResult:
        clock[0] += 0.25
        asked_for.extend(command.idempotency_key for command in request.commands)
        raise DBAPIError("UPDATE", {}, psycopg.errors.LockNotAvailable("lock timeout"))

    monkeypatch.setattr(transactions, "process", locked)
    tried(engine, commands)
    clock[0] += 10
    asked_for.clear()
    for failed in (9, 7):
        assert tried(engine, commands)[0] == failed
    assert asked_for == [command.idempotency_key for command in commands]


def test_a_sweep_waits_once_for_all_that_is_about_what_is_held(
    plant: Plant, engine: Engine, outsider: Outsider
) -> None:
    """Whoever queued hundreds of commands for one run does not keep the outbox of the others waiting."""
    held, free = started(plant, engine, 2)
    for _ in range(60):
        plant.queue("advance_step", run_id=held, to_step_index=1)
    other = plant.queue("advance_step", run_id=free, to_step_index=1)
    outsider.hold("production_runs", held)
    began = time.monotonic()
    assert sweep(engine) == 1
    assert time.monotonic() - began < 8
    assert plant.ledger(other).status == APPLIED


def test_more_than_a_chunk_that_cannot_expire_keeps_no_others_from_it(plant: Plant, outsider: Outsider) -> None:
    engine = plant.engine(lock_timeout_seconds=1, wait_seconds=1)
    held, free = started(plant, engine, 2)
    engine.apply(advances(plant, [held] * (CHUNK + 1), 3))
    (last,) = advances(plant, [free], 3)
    engine.apply([last])
    plant.sql("SELECT pg_sleep_until(max(expires_at)) FROM commands")
    outsider.hold("production_runs", held)
    assert expire_overdue(engine) == 1
    assert plant.ledger(last.idempotency_key).status == "EXPIRED"


def test_what_was_held_beyond_its_time_is_given_one_more_sweep(plant: Plant, outsider: Outsider) -> None:
    """Its turn was held up by the same lock, and comes once that is gone."""
    engine = plant.engine(lock_timeout_seconds=1, wait_seconds=1)
    (held,) = started(plant, engine, 1)
    (early,) = advances(plant, [held], 3)
    engine.apply([early])
    plant.sql("SELECT pg_sleep_until(max(expires_at)) FROM commands")
    outsider.hold("production_runs", held)
    assert expire_overdue(engine) == 0
    outsider.rollback()
    time.sleep(PAUSE_SECONDS)
    expire_overdue(engine)
    assert plant.ledger(early.idempotency_key).status == "WAITING"
    assert expire_overdue(engine) == 1
    assert plant.ledger(early.idempotency_key).status == "EXPIRED"


def test_a_rule_of_somebody_elses_keeps_back_nobody_about_the_same_run(plant: Plant, engine: Engine) -> None:
    queued, sent = started(plant, engine, 2)
    plant.sql("ALTER TABLE production_runs ADD CONSTRAINT ck_house CHECK (status_reason NOT LIKE 'nobody says%')")
    refused = {"reason": "nobody says such things"}
    keys = [
        plant.queue("hold_run", run_id=queued, **refused),
        plant.queue("advance_step", run_id=queued, to_step_index=1),
    ]
    assert sweep(engine) == 1
    assert [plant.ledger(key).status for key in keys] == ["QUEUED", "APPLIED"]
    with pytest.raises(Blocked) as blocked:
        engine.apply([plant.command("hold_run", run_id=sent, **refused), *advances(plant, [sent], 1)])
    assert [verdict and verdict.status for verdict in blocked.value.verdicts] == [None, APPLIED]


def test_a_fault_that_cannot_be_kept_ends_no_sweep(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = plant.engine(retry_seconds=0)
    keys = [plant.queue("start_run"), plant.queue("start_run")]
    process = transactions.process

    def faulty(connection: Connection, resources: Resources, request: BatchRequest) -> BatchResult:
        if keys[0] in request.stored:
            raise ZeroDivisionError("a fault put in by the test")
        return process(connection, resources, request)

    monkeypatch.setattr(transactions, "process", faulty)
    plant.sql("ALTER TABLE dead_letters RENAME TO dead_letters_away")
    assert sweep(engine) == 1
    assert [plant.ledger(key).status for key in keys] == ["QUEUED", "APPLIED"]


def test_a_letter_whose_row_is_held_keeps_back_itself_alone(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    """Not told as a server that fails: that would close the intake over one broken message."""
    letter, other = (NewDeadLetter(body, Code.MALFORMED_MESSAGE, "no JSON") for body in (b"{", b"["))
    kept = engine.keep(letter)
    outsider.execute("SELECT FROM dead_letters WHERE id = %s FOR UPDATE", kept)
    with pytest.raises(Blocked) as blocked:
        engine.keep(letter)
    assert "lock timeout" in str(blocked.value)
    with pytest.raises(Blocked, match="as it was a moment ago"):
        engine.keep(letter)
    assert engine.keep(other) != kept
    outsider.rollback()
    assert eventually(lambda: kept_again(engine, letter), "the letter kept") == kept
    assert plant.sql("SELECT times FROM dead_letters ORDER BY id") == [(2,), (1,)]


def kept_again(engine: Engine, letter: NewDeadLetter) -> int | None:
    with suppress(Blocked):
        return engine.keep(letter)
    return None
