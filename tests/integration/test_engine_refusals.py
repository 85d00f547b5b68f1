"""A command that the database refuses stands alone: its neighbours and those that wait for it go on."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.plant import Plant

from runworker.codes import Code
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.upkeep import sweep

APPLIED, REJECTED, WAITING = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.WAITING


def test_unknown_scenario(plant: Plant, engine: Engine) -> None:
    command = plant.command("start_run", scenario_id=uuid4())
    (verdict,) = engine.apply([command])
    assert (verdict.status, verdict.code) == (REJECTED, Code.UNKNOWN_SCENARIO)
    assert plant.ledger(command.idempotency_key).code == "UNKNOWN_SCENARIO"
    assert engine.apply([command]) == [verdict.as_replay()]
    assert plant.count("dead_letters") == 0


def test_a_known_scenario(plant: Plant, engine: Engine) -> None:
    plant.sql("INSERT INTO scenarios (id, name) VALUES (:id, '{}')", id=(scenario := uuid4()))
    assert engine.apply([plant.command("start_run", scenario_id=scenario)])[0].status is APPLIED


@settings(
    max_examples=12,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(bad=st.sets(st.integers(0, 19), min_size=1, max_size=3), together=st.booleans())
def test_bad_commands_do_not_sink_their_batch(plant: Plant, engine: Engine, bad: set[int], together: bool) -> None:
    """Twenty commands of twenty runs, or all of one life, with one to three bad ones among them."""
    life = [
        *plant.life(uuid4(), range(11)),
        *(plant.command("start_run") for _ in range(8)),
    ]
    commands = life if together else [plant.command("start_run") for _ in range(20)]
    for position in bad:
        commands[position:position] = [plant.command("start_run", scenario_id=uuid4())]
    with capture_logs() as events:
        verdicts = engine.apply(commands)
    refused = [command.idempotency_key for command in commands if getattr(command, "scenario_id", None)]
    assert [verdict.idempotency_key for verdict in verdicts] == [command.idempotency_key for command in commands]
    assert [verdict.idempotency_key for verdict in verdicts if verdict.status is not APPLIED] == refused
    assert {verdict.code for verdict in verdicts if verdict.status is REJECTED} == {Code.UNKNOWN_SCENARIO}
    assert not any(verdict.replayed for verdict in verdicts)
    # Halves of halves: each bad one is found in about log2(20) steps.
    assert len([event for event in events if event["event"] == "batch.split"]) <= 6 * len(bad)


def test_what_waits_for_a_refused_command_goes_on(plant: Plant, engine: Engine) -> None:
    bad = plant.command("start_run", scenario_id=uuid4())
    follower = plant.command("start_run", after=[bad.idempotency_key])
    second = plant.command("start_run", after=[follower.idempotency_key])
    hanging = plant.command("hold_run", run_id=bad.target_run)
    engine.apply([second, follower, hanging])
    engine.apply([bad])
    statuses = {key: verdict.status for key, verdict in engine.verdicts(keys([bad, follower, second, hanging])).items()}
    assert list(statuses.values()).count(APPLIED) == 2
    assert (statuses[bad.idempotency_key], statuses[hanging.idempotency_key]) == (REJECTED, WAITING)


def test_what_is_released_may_be_refused_by_the_database(plant: Plant, engine: Engine) -> None:
    good = plant.command("start_run")
    bad = plant.command("start_run", scenario_id=uuid4(), after=[good.idempotency_key])
    other = plant.command("start_run", after=[good.idempotency_key])
    engine.apply([bad, other])
    (verdict,) = engine.apply([good])
    assert (verdict.status, verdict.replayed) == (APPLIED, False)
    told = engine.verdicts(keys([bad, other]))
    assert (told[bad.idempotency_key].code, told[other.idempotency_key].status) == (Code.UNKNOWN_SCENARIO, APPLIED)


def test_a_queued_command_that_the_database_refuses(plant: Plant, engine: Engine) -> None:
    bad, good = plant.queue("start_run", scenario_id=uuid4()), plant.queue("start_run")
    assert (sweep(engine), sweep(engine)) == (2, 0)
    told = engine.verdicts([bad, good])
    assert (told[bad].code, told[good].status) == (Code.UNKNOWN_SCENARIO, APPLIED)


def test_a_user_who_is_deleted_meanwhile(plant: Plant, engine: Engine) -> None:
    user = plant.another_user("OPERATOR")
    command = plant.command("start_run", operator_id=user)
    with plant.transaction() as connection:
        connection.execute(text("DELETE FROM users WHERE id = :id"), {"id": user})
        answer = plant.in_background(lambda: engine.apply([command]))
        plant.wait_for("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    (verdict,) = answer.result()
    assert (verdict.status, verdict.code) == (REJECTED, Code.UNKNOWN_USER)


STEPS_OF_A_RUN = """
    INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at)
    SELECT :id, index, 'node', CASE index WHEN 0 THEN 'IN_PROGRESS' ELSE 'PENDING' END, CASE index WHEN 0 THEN now() END
    FROM generate_series(0, 10) AS index
"""


@pytest.mark.parametrize(("status", "expected"), [("RUNNING", Code.RUN_ALREADY_EXISTS), ("IDLE", None)])
def test_a_run_that_somebody_else_creates_meanwhile(
    plant: Plant, engine: Engine, status: str, expected: Code | None
) -> None:
    version, run = plant.version(), uuid4()
    command = plant.command("start_run", run_id=run, flow_version_id=version)
    with plant.transaction() as connection:
        connection.execute(
            text("INSERT INTO production_runs (id, run_code, flow_version_id, status) VALUES (:id, 'X', :v, :status)"),
            {"id": run, "v": version, "status": status},
        )
        if status == "RUNNING":
            connection.execute(text(STEPS_OF_A_RUN), {"id": run})
        answer = plant.in_background(lambda: engine.apply([command]))
        plant.wait_for("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    (verdict,) = answer.result()
    assert (verdict.code, verdict.replayed) == (expected, False)
    assert plant.count("production_runs") == 1


def test_a_version_that_is_withdrawn_meanwhile(plant: Plant, engine: Engine) -> None:
    version = plant.version()
    command = plant.command("start_run", flow_version_id=version)
    with plant.transaction() as connection:
        connection.execute(text("UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = :id"), {"id": version})
        answer = plant.in_background(lambda: engine.apply([command]))
        plant.wait_for("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    (verdict,) = answer.result()
    assert verdict.code is Code.FLOW_VERSION_NOT_PUBLISHED


def test_a_run_that_is_held_by_hand_meanwhile(plant: Plant, engine: Engine) -> None:
    """The command acts on the state that it finds once the other has committed."""
    (started,) = engine.apply([plant.command("start_run")])
    with plant.transaction() as connection:
        connection.execute(text("UPDATE production_runs SET status = 'HOLD', status_reason = 'belt is torn'"))
        advance = plant.command("advance_step", run_id=started.run_id, to_step_index=1)
        answer = plant.in_background(lambda: engine.apply([advance]))
        plant.wait_for("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    assert answer.result()[0].code is Code.RUN_ON_HOLD
    assert plant.count("dead_letters") == 0


def keys(commands: list[Any]) -> list[UUID]:
    return [command.idempotency_key for command in commands]
