"""What a command is told does not depend on what else is in its batch."""

from typing import Any
from uuid import uuid4

import pytest
from tests.integration.test_engine_lots_life import Life, applied
from tests.plant import Plant

from runworker.commands import Command
from runworker.engine import Engine

UNGATED = (0, 1, 2, 10)


@pytest.fixture
def life(plant: Plant) -> Life:
    return Life(plant)


@pytest.mark.parametrize("batch", [1, 1000])
def test_run_that_starts_in_the_batch_leaves_a_step_without_a_gate(plant: Plant, engine: Engine, batch: int) -> None:
    """The plan that says so was not loaded for runs that the database did not have yet."""
    run_id, version = uuid4(), plant.version(UNGATED)
    about = {"run_id": run_id, "step_index": 1, "lot_type": "RAW", "weight_kg": "10"}
    commands = [
        plant.command("start_run", run_id=run_id, flow_version_id=version),
        plant.command("advance_step", run_id=run_id, to_step_index=1),
        plant.command("register_lot", **about),
        plant.command("advance_step", run_id=run_id, to_step_index=2),
    ]

    for begin in range(0, len(commands), batch):
        applied(engine, *commands[begin : begin + batch])

    assert plant.run(run_id)[:2] == ("RUNNING", 2)


def test_lot_is_finished_by_a_command_that_another_one_wakes(plant: Plant, life: Life, engine: Engine) -> None:
    """Its children were not loaded when the lot itself had been, for an earlier command of the batch."""
    *begun, _ = life.until(2)
    more = {"into_lot_id": life.lots["boned"], "quantity_used_kg": "1"}
    applied(engine, *begun, life.decide("cut", "HOLD", notes="smells of diesel"))
    applied(engine, life.of_lot("reject_lot", "cut", reason="smells of diesel"))
    first, second = hold(plant, life), hold(plant, life)
    second = second.model_copy(update={"after": (first.idempotency_key,)})
    finish = life.of_lot("finish_lot", "bőr", after=[second.idempotency_key])
    engine.apply([finish])
    engine.apply([second])

    # In the first pass the lot is looked at, in the second the run is held, in the third the lot is finished.
    refused, held = engine.apply([life.of_lot("consume_lot", "bőr", **more), first])

    assert (refused.code, held.status) == ("PARENT_NOT_RELEASED", "APPLIED")
    assert plant.ledger(finish.idempotency_key).status == "APPLIED"


def hold(plant: Plant, life: Life, **fields: Any) -> Command:
    return plant.command("hold_run", run_id=life.run, **fields)
