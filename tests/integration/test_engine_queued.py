"""Commands that an upstream put into the ledger in its own transaction, which a sweep takes in."""

import json
from uuid import uuid4

import pytest
from sqlalchemy import text
from tests.plant import Plant

from runworker.codes import Code
from runworker.commands import parse
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.upkeep import sweep
from runworker.verdicts import Verdict

APPLIED, REJECTED, WAITING = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.WAITING


def test_a_queued_life(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    keys = [
        plant.queue("start_run", run_id=run),
        plant.queue("hold_run", run_id=run),
        plant.queue("resume_run", run_id=run),
    ]
    assert sweep(engine) == 3
    assert {verdict.status for verdict in engine.verdicts(keys).values()} == {APPLIED}
    assert plant.run(run)[0] == "RUNNING"
    row = plant.ledger(keys[0])
    assert (row.run_id, row.deliveries, row.payload_sha256 is None) == (run, 0, False)
    assert sweep(engine) == 0


def test_queued_commands_wait_and_are_waited_for(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    start = uuid4()
    hold = plant.queue("hold_run", run_id=run, after=[start])
    sweep(engine)
    assert plant.ledger(hold).status == "WAITING"
    plant.queue("start_run", idempotency_key=start, run_id=run)
    sweep(engine)
    assert plant.run(run)[0] == "HOLD"


def test_a_key_decided_long_ago_is_not_waited_for(plant: Plant, engine: Engine) -> None:
    start = plant.command("start_run")
    engine.apply([start])
    hold = plant.queue("hold_run", run_id=start.target_run, after=[start.idempotency_key])
    sweep(engine)
    assert plant.ledger(hold).status == "APPLIED"


UNREADABLE = {
    "no object": ("start_run", "[]", Code.MALFORMED_MESSAGE),
    "null": ("start_run", "null", Code.MALFORMED_MESSAGE),
    "a text": ("start_run", '"start"', Code.MALFORMED_MESSAGE),
    "a number": ("start_run", "7", Code.MALFORMED_MESSAGE),
    "nothing in it": ("start_run", "{}", Code.MISSING_FIELD),
    "no such command": ("begin_run", "{}", Code.UNKNOWN_COMMAND),
    "unknown field": (
        "start_run",
        f'{{"issued_by": "{uuid4()}", "flow_version_id": "{uuid4()}", "speed": 3}}',
        Code.UNKNOWN_FIELD,
    ),
    "wrong field": ("complete_run", f'{{"issued_by": "{uuid4()}", "run_id": 7}}', Code.INVALID_FIELD),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_refused_once(plant: Plant, engine: Engine, what: str) -> None:
    name, payload, code = UNREADABLE[what]
    plant.sql(
        "INSERT INTO commands (idempotency_key, command, payload) VALUES (:key, :name, CAST(:payload AS jsonb))",
        key=(key := uuid4()),
        name=name,
        payload=payload,
    )
    good = plant.queue("start_run")
    assert (sweep(engine), sweep(engine)) == (2, 0)
    verdict = engine.verdicts([key])[key]
    assert (verdict.status, verdict.code, verdict.command) == (REJECTED, code, name)
    assert plant.ledger(good).status == "APPLIED"
    (answer,) = engine.apply([plant.command("start_run", idempotency_key=key)])
    assert answer.code is Code.IDEMPOTENCY_KEY_REUSED


def test_the_message_comes_before_the_sweep(plant: Plant, engine: Engine) -> None:
    fields = plant.fields("start_run")
    key = plant.queue("start_run", **fields)
    command = parse("start_run", fields)
    (first,) = engine.apply([command], {key: "task"})
    assert (first.status, first.replayed) == (APPLIED, False)
    assert sweep(engine) == 0
    assert engine.apply([command]) == [first.as_replay()]
    assert (plant.count("production_runs"), plant.ledger(key).deliveries) == (1, 2)


def test_the_message_comes_after_the_sweep(plant: Plant, engine: Engine) -> None:
    fields = plant.fields("start_run")
    key = plant.queue("start_run", **fields)
    sweep(engine)
    (verdict,) = engine.apply([parse("start_run", fields)])
    assert verdict == engine.verdicts([key])[key].as_replay()
    assert (plant.count("production_runs"), plant.ledger(key).deliveries) == (1, 1)


def test_the_task_of_the_message_is_told_of_the_end(plant: Plant) -> None:
    told: dict[str, Verdict] = {}
    engine = plant.engine(tell_late=told.update)
    run = uuid4()
    fields = plant.fields("hold_run", run_id=run)
    key = plant.queue("hold_run", **fields)
    assert engine.apply([parse("hold_run", fields)], {key: "task"})[0].status is WAITING
    engine.apply([plant.command("start_run", run_id=run)])
    assert {task: verdict.status for task, verdict in told.items()} == {"task": APPLIED}


def test_a_message_with_another_payload_leaves_the_queued_command_alone(plant: Plant, engine: Engine) -> None:
    fields = plant.fields("start_run")
    key = plant.queue("start_run", **fields)
    other = plant.command("start_run", idempotency_key=key, run_id=uuid4())
    verdicts = engine.apply([other, parse("start_run", fields), other])
    assert [verdict.code for verdict in verdicts] == [Code.IDEMPOTENCY_KEY_REUSED, None, Code.IDEMPOTENCY_KEY_REUSED]
    assert (plant.count("production_runs"), plant.ledger(key).deliveries) == (1, 1)


def test_queued_with_another_payload_and_never_taken_by_the_message(plant: Plant, engine: Engine) -> None:
    key = plant.queue("start_run")
    (verdict,) = engine.apply([plant.command("hold_run", idempotency_key=key, run_id=uuid4())])
    assert verdict.code is Code.IDEMPOTENCY_KEY_REUSED
    assert plant.ledger(key).status == "QUEUED"
    sweep(engine)
    assert plant.ledger(key).status == "APPLIED"


def test_an_upstream_that_queues_the_key_at_the_same_moment(plant: Plant, engine: Engine) -> None:
    """It has inserted and not committed: the batch waits for it and then finds the row."""
    fields = plant.fields("start_run")
    command = parse("start_run", fields)
    with plant.transaction() as upstream:
        upstream.execute(
            text("INSERT INTO commands (idempotency_key, command, payload) VALUES (:key, 'start_run', :payload)"),
            {"key": command.idempotency_key, "payload": json.dumps(command.payload)},
        )
        answer = plant.in_background(lambda: engine.apply([command]))
        plant.wait_for("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    assert [(verdict.status, verdict.replayed) for verdict in answer.result()] == [(APPLIED, False)]
    assert plant.count("production_runs") == 1


def test_all_are_taken_in_one_sweep(plant: Plant, engine: Engine) -> None:
    fields = plant.fields("start_run")
    plant.sql(
        "INSERT INTO commands (idempotency_key, command, payload)"
        " SELECT gen_random_uuid(), 'start_run', jsonb_build_object("
        "   'issued_by', CAST(:user AS text), 'flow_version_id', CAST(:version AS text))"
        " FROM generate_series(1, 250)",
        user=fields["issued_by"],
        version=fields["flow_version_id"],
    )
    assert [sweep(engine), sweep(engine)] == [250, 0]
    assert plant.count("commands", "status = 'APPLIED'") == plant.count("production_runs") == 250
