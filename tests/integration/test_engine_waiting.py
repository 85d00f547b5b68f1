"""A command before its turn waits for its run, and goes on in the transaction that lets it."""

from collections.abc import Mapping
from uuid import uuid4

import pytest
from tests.plant import Plant

from runworker.codes import Code
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

APPLIED, REJECTED, WAITING = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.WAITING


def statuses(plant: Plant) -> dict[str, int]:
    return {row[0]: row[1] for row in plant.sql("SELECT status, count(*) FROM commands GROUP BY 1")}


@pytest.mark.parametrize("name", ["advance_step", "hold_run", "resume_run", "complete_run", "abort_run"])
def test_waits_for_a_run_that_does_not_exist(plant: Plant, engine: Engine, name: str) -> None:
    run = uuid4()
    command = plant.command(name, run_id=run, **({"to_step_index": 1} if name == "advance_step" else {}))
    (verdict,) = engine.apply([command])
    assert (verdict.status, verdict.run_id, verdict.waiting_for) == (WAITING, run, {"run_id": str(run)})
    assert verdict.message == f"run {run} does not exist yet"
    row = plant.ledger(command.idempotency_key)
    assert (row.status, row.blocked_on, row.decided_at) == ("WAITING", [run], None)
    assert row.verdict["expires_at"] == row.expires_at.isoformat()
    assert (row.expires_at - row.received_at).total_seconds() == pytest.approx(300, abs=5)


def test_waits_for_an_idle_run_to_start(plant: Plant, engine: Engine) -> None:
    version = plant.version()
    run = plant.idle_run(version)
    advance = plant.command("advance_step", run_id=run, to_step_index=1)
    (waiting,) = engine.apply([advance])
    assert waiting.waiting_for == {"run_id": str(run), "run_status": "RUNNING"}
    (started,) = engine.apply([plant.command("start_run", run_id=run, flow_version_id=version)])
    assert started.state["run_code"] == f"OLD-{run}"
    assert plant.run(run)[:2] == ("RUNNING", 1)
    assert plant.ledger(advance.idempotency_key).status == "APPLIED"


@pytest.mark.parametrize(
    ("name", "fields", "waits_for"),
    [("advance_step", {"to_step_index": 3}, 1), ("advance_step", {"to_step_index": 10}, 3), ("complete_run", {}, 10)],
)
def test_waits_for_the_step_before(
    plant: Plant, engine: Engine, name: str, fields: dict[str, int], waits_for: int
) -> None:
    run = uuid4()
    engine.apply([plant.command("start_run", run_id=run)])
    (verdict,) = engine.apply([plant.command(name, run_id=run, **fields)])
    assert (verdict.status, verdict.waiting_for) == (WAITING, {"run_id": str(run), "current_step_index": waits_for})


def test_goes_on_in_the_transaction_of_what_it_waited_for(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    start, *rest = plant.life(run)
    engine.apply(rest)
    assert statuses(plant) == {"WAITING": 4}
    engine.apply([start])
    assert statuses(plant) == {"APPLIED": 5}
    assert plant.run(run)[:2] == ("COMPLETED", 10)
    assert len(plant.sql("SELECT DISTINCT xmin::text FROM commands")) == 1


def test_every_move_of_a_released_chain_is_audited(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    start, *rest = plant.life(run)
    engine.apply(rest[::-1])
    engine.apply([start])
    trail = plant.sql("SELECT command_key FROM audit_events WHERE entity = 'production_runs' ORDER BY id")
    assert [row[0] for row in trail] == [command.idempotency_key for command in (start, *rest)]


def test_a_repeat_of_a_waiting_command_is_still_waiting(plant: Plant, engine: Engine) -> None:
    command = plant.command("hold_run", run_id=uuid4())
    (first,) = engine.apply([command])
    assert engine.apply([command]) == [first.as_replay()]
    assert plant.ledger(command.idempotency_key).deliveries == 2


def test_what_is_released_may_be_refused(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    hold, resume = plant.command("hold_run", run_id=run), plant.command("resume_run", run_id=run)
    engine.apply([resume])
    engine.apply([plant.command("start_run", run_id=run)])
    row = plant.ledger(resume.idempotency_key)
    assert (row.status, row.code, row.expires_at, row.blocked_on) == ("REJECTED", "RUN_ILLEGAL_MOVE", None, None)
    assert engine.apply([hold])[0].status is APPLIED


def test_the_end_of_a_run_ends_the_wait(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    start, *rest = plant.life(run)
    engine.apply([start, *rest[1:]])
    engine.apply([plant.command("abort_run", run_id=run)])
    codes = [row[0] for row in plant.sql("SELECT code FROM commands WHERE status = 'REJECTED'")]
    assert codes == [Code.RUN_NOT_RUNNING] * 3
    assert statuses(plant) == {"APPLIED": 2, "REJECTED": 3}


def test_late_verdicts_are_told_to_the_task_that_brought_the_command(plant: Plant) -> None:
    told: dict[str, Verdict] = {}
    engine = plant.engine(tell_late=told.update)
    run = uuid4()
    start, *rest = plant.life(run)
    engine.apply(rest, {command.idempotency_key: f"task {number}" for number, command in enumerate(rest)})
    assert told == {}
    engine.apply([start], {start.idempotency_key: "task of the start"})
    assert told == {
        f"task {number}": verdict
        for number, verdict in enumerate(engine.verdicts([each])[each] for each in (c.idempotency_key for c in rest))
    }
    assert {verdict.status for verdict in told.values()} == {APPLIED}


def test_a_verdict_is_told_late_once(plant: Plant) -> None:
    told: list[str] = []
    engine = plant.engine(tell_late=told.extend)
    run = uuid4()
    hold, start = plant.command("hold_run", run_id=run), plant.command("start_run", run_id=run)
    tasks = {hold.idempotency_key: "hold", start.idempotency_key: "start"}
    for commands in ([hold], [hold], [start], [start], [hold, start]):
        engine.apply(commands, tasks)
    assert told == ["hold"]


def test_who_cannot_be_told_does_not_stop_what_is_committed(plant: Plant) -> None:
    def broker_away(_verdicts: Mapping[str, Verdict]) -> None:
        raise ConnectionError("no broker")

    engine = plant.engine(tell_late=broker_away)
    run = uuid4()
    hold, start = plant.command("hold_run", run_id=run), plant.command("start_run", run_id=run)
    engine.apply([hold], {hold.idempotency_key: "hold"})
    (verdict,) = engine.apply([start])
    assert (verdict.status, verdict.replayed) == (APPLIED, False)
    assert plant.run(run)[0] == "HOLD"
