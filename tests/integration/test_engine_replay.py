"""Once: a key takes effect once, however often, in whatever company and with whatever trimmings it is delivered."""

from uuid import uuid4

import pytest
from tests.plant import Plant

from runworker.codes import Code
from runworker.commands import Command, parse
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

APPLIED, REJECTED, WAITING = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.WAITING


def test_nothing_to_do(engine: Engine) -> None:
    assert engine.apply([]) == []


def test_verdict_of_an_applied_command(plant: Plant, engine: Engine) -> None:
    version, run, user = plant.version(), uuid4(), plant.user("OPERATOR")
    command = plant.command("start_run", run_id=run, flow_version_id=version, issued_by=user, site_code="BUDA")
    (verdict,) = engine.apply([command])
    ((code,),) = plant.sql("SELECT run_code FROM production_runs")
    assert verdict.as_dict() == {
        "status": "APPLIED",
        "command": "start_run",
        "idempotency_key": str(command.idempotency_key),
        "replayed": False,
        "payload_sha256": command.fingerprint.hex(),
        "run_id": str(run),
        "run_code": code,
        "run_status": "RUNNING",
        "current_step_index": 0,
        "flow_version_id": str(version),
        "version_num": 1,
    }


def test_ledger_of_an_applied_command(plant: Plant, engine: Engine) -> None:
    command = plant.command("start_run", source="planner", after=[])
    (verdict,) = engine.apply([command], {command.idempotency_key: "task 7"})
    row = plant.ledger(command.idempotency_key)
    assert (row.command, row.payload, row.issued_by) == ("start_run", command.payload, command.issued_by)
    assert (row.status, row.run_id, row.code, row.waiting_for, row.blocked_on) == (
        "APPLIED",
        command.target_run,
        None,
        None,
        None,
    )
    assert (row.verdict, row.task_id, row.deliveries) == (verdict.as_dict(), "task 7", 1)
    assert row.payload_sha256 == command.fingerprint
    assert row.decided_at >= row.received_at


@pytest.mark.parametrize("status", [APPLIED, REJECTED, WAITING])
def test_a_repeat_gets_the_same_verdict(plant: Plant, engine: Engine, status: CommandStatus) -> None:
    run = uuid4()
    if status is not WAITING:
        engine.apply([plant.command("start_run", run_id=run)])
    command = plant.command("resume_run" if status is REJECTED else "hold_run", run_id=run)
    (first,) = engine.apply([command])
    picture = plant.picture()
    assert first.status is status
    assert not first.replayed
    assert engine.apply([command]) == engine.apply([command]) == [first.as_replay()]
    assert plant.picture() == picture
    assert plant.ledger(command.idempotency_key).deliveries == 3
    assert plant.count("commands") == (2 if status is not WAITING else 1)


def test_a_repeat_gets_the_verdict_of_then(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    start, *rest = plant.life(run)
    (first,) = engine.apply([start])
    engine.apply(rest)
    assert plant.run(run)[0] == "COMPLETED"
    assert engine.apply([start]) == [first.as_replay()]


@pytest.mark.parametrize(
    "trimmings",
    [{"issued_at": "2026-02-01T06:00:00Z"}, {"source": "another"}, {"correlation_id": "another"}],
)
def test_a_repeat_may_have_other_trimmings(plant: Plant, engine: Engine, trimmings: dict[str, str]) -> None:
    fields = plant.fields("start_run", source="planner", correlation_id="order 7")
    (first,) = engine.apply([parse("start_run", fields)])
    assert engine.apply([parse("start_run", fields | trimmings)]) == [first.as_replay()]


def test_one_key_many_times_in_one_batch(plant: Plant, engine: Engine) -> None:
    start, other = plant.command("start_run"), plant.command("start_run")
    verdicts = engine.apply([start, other, start, start])
    assert [verdict.replayed for verdict in verdicts] == [False, False, True, True]
    assert verdicts[2] == verdicts[3] == verdicts[0].as_replay()
    assert plant.count("production_runs") == 2
    assert plant.ledger(start.idempotency_key).deliveries == 3


def reused(verdict: Verdict, command: Command) -> bool:
    assert (verdict.command, verdict.idempotency_key) == (command.name, command.idempotency_key)
    return (verdict.status, verdict.code, verdict.replayed) == (REJECTED, Code.IDEMPOTENCY_KEY_REUSED, False)


@pytest.mark.parametrize("first_status", [APPLIED, REJECTED, WAITING])
def test_a_key_with_another_payload(plant: Plant, engine: Engine, first_status: CommandStatus) -> None:
    run = uuid4()
    if first_status is not WAITING:
        engine.apply([plant.command("start_run", run_id=run)])
    fields = plant.fields("resume_run" if first_status is REJECTED else "hold_run", run_id=run)
    first = parse("resume_run" if first_status is REJECTED else "hold_run", fields)
    (verdict,) = engine.apply([first])
    before = plant.ledger(first.idempotency_key)
    others = [
        plant.command("hold_run", run_id=run, reason="quite another reason", idempotency_key=first.idempotency_key),
        plant.command("complete_run", run_id=run, idempotency_key=first.idempotency_key),
    ]
    assert all(reused(*each) for each in zip(engine.apply(others), others, strict=True))
    assert plant.ledger(first.idempotency_key) == before
    assert engine.apply([first]) == [verdict.as_replay()]


def test_a_key_with_another_payload_in_one_batch(plant: Plant, engine: Engine) -> None:
    first, run = plant.command("start_run"), uuid4()
    other = plant.command("start_run", run_id=run, idempotency_key=first.idempotency_key)
    verdicts = engine.apply([first, other, first])
    assert reused(verdicts[1], other)
    assert (verdicts[0].status, verdicts[2]) == (APPLIED, verdicts[0].as_replay())
    assert plant.sql("SELECT id FROM production_runs") == [(first.target_run,)]
    assert plant.ledger(first.idempotency_key).deliveries == 2


def test_verdicts_are_kept_for_who_asks(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    commands = [
        plant.command("start_run", run_id=run),
        plant.command("resume_run", run_id=run),
        plant.command("complete_run", run_id=run),
    ]
    given = engine.apply(commands)
    queued = plant.queue("start_run")
    asked = [*(command.idempotency_key for command in commands), queued, uuid4()]
    assert engine.verdicts(asked) == {verdict.idempotency_key: verdict for verdict in given}
    assert [verdict.status for verdict in given] == [APPLIED, REJECTED, WAITING]


def test_a_run_is_not_started_again_when_the_ledger_has_forgotten(plant: Plant, engine: Engine) -> None:
    """Its key stays unique for ever, with the run's id or without."""
    start = plant.command("start_run")
    engine.apply([start])
    plant.sql("DELETE FROM commands")
    elsewhere = plant.command(
        "start_run", idempotency_key=start.idempotency_key, run_id=uuid4(), flow_version_id=plant.version()
    )
    (again,) = engine.apply([start])
    plant.sql("DELETE FROM commands")
    (other,) = engine.apply([elsewhere])
    assert (again.code, other.code) == (Code.RUN_ALREADY_EXISTS, Code.IDEMPOTENCY_KEY_REUSED)
    assert plant.count("production_runs") == 1


def test_a_repeat_of_a_command_that_was_read_back_from_the_ledger(plant: Plant, engine: Engine) -> None:
    """PostgreSQL writes 1e+16 as a whole number. The command was judged again from there, and is still the same."""
    fields = {"lot_type": "RAW", "step_index": 1, "weight_kg": "10", "metadata": {"cells": 1e16}}
    registration = plant.command("register_lot", run_id=(run := uuid4()), **fields)
    engine.apply([registration])
    engine.apply([plant.command("start_run", run_id=run)])
    assert plant.ledger(registration.idempotency_key).waiting_for == {"run_id": str(run), "current_step_index": 1}
    (again,) = engine.apply([registration])
    assert (again.code, again.replayed) == (None, True)
    assert plant.discrepancies() == []
