"""Workers share what upstreams queued: nobody waits for another's work while there is other work to do."""

import json
from functools import partial
from uuid import uuid4

import pytest
from tests.outsider import Outsider
from tests.plant import Plant, race

from runworker.engine import Engine
from runworker.upkeep.queued import FIRST_CHUNK, take_queued

pytestmark = pytest.mark.usefixtures("first_try")

QUEUED = "status = 'QUEUED'"


def test_what_another_worker_has_is_left_to_it(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    """The first one stands at a run that somebody holds, with the rows of its chunk."""
    run = uuid4()
    engine.apply(plant.life(run)[:1])
    held = plant.queue("hold_run", run_id=run)
    for _ in range(30):
        plant.queue("start_run")
    outsider.hold("production_runs", run)
    standing = outsider.begin(lambda: take_queued(engine))
    assert take_queued(plant.engine()) == 31 - FIRST_CHUNK
    assert plant.count("commands", QUEUED) == FIRST_CHUNK
    assert not standing.is_done
    outsider.rollback()
    assert standing.result() == FIRST_CHUNK
    assert plant.ledger(held).status == "APPLIED"


def test_what_is_about_a_run_at_work_comes_last(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    """A message's batch has the run. Its row in the ledger is free, so that only the run's number tells."""
    run = uuid4()
    start = plant.command("start_run", run_id=run)
    held = plant.queue("hold_run", run_id=run)
    others = [plant.queue("start_run") for _ in range(FIRST_CHUNK)]
    outsider.stop_before_writing(start)
    writing = outsider.begin(lambda: engine.apply([start]))
    waiting = outsider.begin(lambda: take_queued(plant.engine()), behind=writing)
    assert {plant.ledger(key).status for key in others} == {"APPLIED"}
    assert plant.ledger(held).status == "QUEUED"
    outsider.rollback()
    writing.result()
    assert waiting.result() == 1 + len(others)
    assert plant.run(run)[0] == "HOLD"


def test_each_takes_effect_once(plant: Plant) -> None:
    """Lives of runs, in the order in which they were put in, which three workers deal among themselves."""
    engines = [plant.engine() for _ in range(3)]
    runs = [uuid4() for _ in range(40)]
    for run in runs:
        for command in plant.life(run):
            plant.queue(command.name, **command.payload, idempotency_key=command.idempotency_key)
    race(*(partial(take_queued, engine) for engine in engines))
    assert plant.count("commands", "status <> 'APPLIED'") == 0
    assert {plant.run(run)[0] for run in runs} == {"COMPLETED"}
    assert plant.count("audit_events", "entity = 'production_runs'") == 40 * 5


def test_those_of_one_transaction_are_judged_as_they_were_put_in(plant: Plant, engine: Engine) -> None:
    """Their times are alike, and their keys tell nothing. No command of these would wait for its turn."""
    run = uuid4()
    engine.apply(plant.life(run)[:1])
    names = ["hold_run", "resume_run"] * 4
    with plant.transaction() as upstream:
        for name in names:
            fields = plant.fields(name, run_id=run)
            upstream.exec_driver_sql(
                "INSERT INTO commands (idempotency_key, command, payload)"
                " VALUES (%(key)s, %(name)s, %(payload)s::jsonb - 'idempotency_key')",
                {"key": fields["idempotency_key"], "name": name, "payload": json.dumps(fields)},
            )
    take_queued(engine)
    assert plant.count("commands", "status <> 'APPLIED'") == 0
