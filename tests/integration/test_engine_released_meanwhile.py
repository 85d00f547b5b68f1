"""A command is released by one batch while another changes what it needs next: whoever comes second sees the first.

The two batches are asked for nothing in common. They meet in the waiting command's row, which names all that it may
come to wait for.
"""

from collections.abc import Callable
from uuid import uuid4

import pytest
from tests.integration.test_engine_lots_life import Life
from tests.outsider import Outsider
from tests.plant import Plant

from runworker.commands import Command
from runworker.engine import Engine

pytestmark = pytest.mark.usefixtures("first_try")

Situation = tuple[list[Command], Command, Command]
"""What was applied or waits, the command that releases one that waits, and the command beside it."""


def a_decision_comes_while_its_lot_is_registered_late(plant: Plant) -> Situation:
    life = Life(plant)
    return [life.start(), life.register("mell")], life.advance(1), life.decide("mell")


def the_step_before_is_reached_while_an_advance_is_released(plant: Plant) -> Situation:
    life = Life(plant)
    key = plant.command("start_run")
    later = plant.command("advance_step", run_id=life.run, to_step_index=2, after=[key.idempotency_key])
    return [life.start(), later], key, life.advance(1)


def a_lot_is_registered_while_its_decision_is_released(plant: Plant) -> Situation:
    life = Life(plant)
    key = plant.command("start_run")
    decision = life.decide("mell", after=[key.idempotency_key])
    return [life.start(), life.advance(1), decision], key, life.register("mell")


def a_run_is_released_while_its_advance_is_released(plant: Plant) -> Situation:
    run, one, other = uuid4(), plant.command("start_run"), plant.command("start_run")
    start = plant.command("start_run", run_id=run, after=[one.idempotency_key])
    advance = plant.command("advance_step", run_id=run, to_step_index=1, after=[other.idempotency_key])
    return [start, advance], one, other


SITUATIONS = (
    a_decision_comes_while_its_lot_is_registered_late,
    the_step_before_is_reached_while_an_advance_is_released,
    a_lot_is_registered_while_its_decision_is_released,
    a_run_is_released_while_its_advance_is_released,
)


@pytest.mark.parametrize("releases_first", [True, False], ids=["release first", "release second"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_nothing_is_left_waiting(
    plant: Plant, engine: Engine, outsider: Outsider, situation: Callable[[Plant], Situation], releases_first: bool
) -> None:
    before, release, beside = situation(plant)
    for command in before:
        engine.apply([command])
    first, second = (release, beside) if releases_first else (beside, release)
    outsider.stop_before_writing(first)
    writing = outsider.begin(lambda: engine.apply([first]))
    behind = outsider.begin(lambda: plant.engine().apply([second]), behind=writing)
    outsider.rollback()
    writing.result(), behind.result()
    assert plant.count("commands", "status <> 'APPLIED'") == 0
