"""What a command waited for does not come: it expires, says so, and those who waited for it go on."""

from uuid import uuid4

import pytest
from tests.plant import Plant

from runworker.codes import Code
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.upkeep import sweep
from runworker.verdicts import Verdict

EXPIRED, WAITING = CommandStatus.EXPIRED, CommandStatus.WAITING


@pytest.fixture
def told() -> dict[str, Verdict]:
    """Verdicts told late, by task."""
    return {}


@pytest.fixture
def hasty(plant: Plant, told: dict[str, Verdict]) -> Engine:
    """An engine whose commands wait one second."""
    return plant.engine(wait_seconds=1, tell_late=told.update)


def let_time_pass(plant: Plant) -> None:
    """Until all that shall wait for seconds only is overdue by the database's clock."""
    plant.sql(
        "SELECT pg_sleep_until(max(expires_at)) FROM commands"
        " WHERE status = 'WAITING' AND expires_at < now() + interval '1 minute'"
    )


def test_expired_command(plant: Plant, hasty: Engine, told: dict[str, Verdict]) -> None:
    run = uuid4()
    command = plant.command("hold_run", run_id=run)
    hasty.apply([command], {command.idempotency_key: "task"})
    let_time_pass(plant)
    assert sweep(hasty) == 1
    verdict = hasty.verdicts([command.idempotency_key])[command.idempotency_key]
    assert (verdict.status, verdict.code, verdict.waiting_for) == (EXPIRED, Code.WAIT_EXPIRED, {"run_id": str(run)})
    assert verdict.message == f"waited in vain: run {run} does not exist yet"
    row = plant.ledger(command.idempotency_key)
    assert (row.status, row.code, row.expires_at, row.blocked_on) == ("EXPIRED", "WAIT_EXPIRED", None, None)
    assert told == {"task": verdict}
    assert hasty.apply([command]) == [verdict.as_replay()]


def test_nothing_expires_before_its_time(plant: Plant, engine: Engine) -> None:
    command = plant.command("hold_run", run_id=uuid4())
    engine.apply([command])
    assert sweep(engine) == 0
    assert plant.ledger(command.idempotency_key).status == "WAITING"


def test_a_repeat_does_not_wait_anew(plant: Plant, hasty: Engine) -> None:
    command = plant.command("hold_run", run_id=uuid4())
    hasty.apply([command])
    expires_at = plant.ledger(command.idempotency_key).expires_at
    let_time_pass(plant)
    assert hasty.apply([command])[0].status is WAITING
    assert plant.ledger(command.idempotency_key).expires_at == expires_at


def test_what_comes_late_finds_nobody_waiting(plant: Plant, hasty: Engine) -> None:
    run = uuid4()
    hold = plant.command("hold_run", run_id=run)
    hasty.apply([hold])
    let_time_pass(plant)
    sweep(hasty)
    hasty.apply([plant.command("start_run", run_id=run)])
    assert plant.run(run)[0] == "RUNNING"
    assert plant.ledger(hold.idempotency_key).status == "EXPIRED"


def test_what_comes_before_the_sweep_is_in_time(plant: Plant, hasty: Engine) -> None:
    run = uuid4()
    hold = plant.command("hold_run", run_id=run)
    hasty.apply([hold])
    let_time_pass(plant)
    hasty.apply([plant.command("start_run", run_id=run)])
    assert (sweep(hasty), plant.run(run)[0]) == (0, "HOLD")


def test_an_expired_key_is_decided(plant: Plant, hasty: Engine, engine: Engine) -> None:
    hold = plant.command("hold_run", run_id=uuid4())
    follower = plant.command("start_run", after=[hold.idempotency_key])
    hasty.apply([hold])
    engine.apply([follower])
    let_time_pass(plant)
    sweep(engine)
    assert plant.ledger(hold.idempotency_key).status == "EXPIRED"
    assert plant.ledger(follower.idempotency_key).status == "APPLIED"


def test_who_waits_beside_an_expired_command_has_its_own_time(plant: Plant, hasty: Engine, engine: Engine) -> None:
    run = uuid4()
    short, long = plant.command("hold_run", run_id=run), plant.command("hold_run", run_id=run)
    hasty.apply([short])
    engine.apply([long])
    let_time_pass(plant)
    sweep(engine)
    statuses = [plant.ledger(command.idempotency_key).status for command in (short, long)]
    assert statuses == ["EXPIRED", "WAITING"]


def test_a_circle_expires_as_a_whole(plant: Plant, hasty: Engine) -> None:
    """Whoever is looked at first gives up, and that lets nobody go on whose own time is up."""
    keys = [uuid4(), uuid4(), uuid4()]
    circle = [
        plant.command("start_run", idempotency_key=key, after=[before])
        for key, before in zip(keys, [keys[-1], *keys[:-1]], strict=True)
    ]
    assert {verdict.status for verdict in hasty.apply(circle)} == {WAITING}
    assert sweep(hasty) == 0
    let_time_pass(plant)
    sweep(hasty)
    assert {verdict.status for verdict in hasty.verdicts(keys).values()} == {EXPIRED}


def test_more_than_one_sweep_holds(plant: Plant, hasty: Engine) -> None:
    for _ in range(3):
        hasty.apply([plant.command("hold_run", run_id=uuid4()) for _ in range(50)])
    let_time_pass(plant)
    assert [sweep(hasty), sweep(hasty)] == [150, 0]
    assert plant.count("commands", "status = 'EXPIRED'") == 150
