"""Any order of delivery, each message twice: a life with lots ends as if it had come in order."""

import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.integration.test_engine_lots_life import LOTS, Life
from tests.plant import Plant

from runworker.commands import Command, parse
from runworker.engine import Engine

TRIES = 6


def tied(life: Life) -> list[Command]:
    """A whole life. What the plan does not put in order, `after` does: a lot is passed before it is used and before the
    run goes on, and everything is registered before its run does."""
    commands: list[Command] = []
    before: list[UUID] = []
    for command in life.whole():
        if command.name == "record_qc_decision":
            # Of its lot alone: it may come before it, and waits for it.
            commands.append(command)
        else:
            needed = before if command.name in ("advance_step", "complete_run", "register_lot") else []
            fields: dict[str, Any] = command.payload | {"idempotency_key": command.idempotency_key}
            commands.append(parse(command.name, fields | {"after": needed[-20:]}))
        if command.name in ("advance_step", "start_run"):
            before = [command.idempotency_key]
        else:
            before = [*before, command.idempotency_key]
    return commands


def picture(plant: Plant, life: Life) -> list[list[object]]:
    """Run, lots, genealogy and decisions in words that are the same for every life."""
    names = {id_: name for name, id_ in life.lots.items()}
    run, step, steps = plant.run(life.run)
    lots = plant.sql(
        "SELECT id, lot_type::text, step_index, status, weight_kg, temperature_c, sku_type, status_reason FROM lots"
        " WHERE production_run_id = :run",
        run=life.run,
    )
    links = plant.sql(
        "SELECT parent_lot_id, child_lot_id, quantity_used_kg FROM lot_genealogy WHERE child_lot_id = ANY (:ids)",
        ids=list(names),
    )
    decisions = plant.sql("SELECT lot_id, decision, notes FROM qc_decisions WHERE lot_id = ANY (:ids)", ids=list(names))
    rows = [[run, step, steps], *lots, *links, *decisions]
    told = [[names.get(value, value) if isinstance(value, UUID) else value for value in row] for row in rows]
    return sorted(told, key=repr)


@pytest.mark.parametrize("_attempt", range(TRIES))
def test_a_whole_life_in_any_order_twice(plant: Plant, engine: Engine, _attempt: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    in_order = Life(plant)
    engine.apply(in_order.whole())

    life, dice = Life(plant), random.Random(seed)  # noqa: S311 - a shuffle to be repeated, no secret
    deck = tied(life) * 2
    dice.shuffle(deck)
    while deck:
        size = dice.randint(1, 9)
        engine.apply(deck[:size])
        del deck[:size]

    assert picture(plant, life) == picture(plant, in_order), f"seed {seed}"
    assert plant.count("commands", "status <> 'APPLIED'") == 0, f"seed {seed}"
    assert plant.count("lots", "status = 'FINISHED'") == 2 * len(LOTS)


def test_a_decision_before_its_lot_waits_and_is_taken_with_it(plant: Plant, engine: Engine) -> None:
    life = Life(plant)
    engine.apply([life.start(), life.advance(1)])
    decision = life.decide("mell")
    (waiting,) = engine.apply([decision])
    assert (waiting.status, waiting.waiting_for) == ("WAITING", {"lot_id": str(life.lots["mell"])})

    engine.apply([life.register("mell")])

    assert life.status("mell") == "RELEASED"
    assert plant.ledger(decision.idempotency_key).status == "APPLIED"


def test_a_child_before_its_parent_waits(plant: Plant, engine: Engine) -> None:
    life = Life(plant)
    engine.apply([*life.until(1), life.advance(2), life.advance(3)])
    bulk = plant.command(
        "register_lot",
        run_id=life.run,
        lot_type="BULK",
        step_index=3,
        weight_kg="5",
        parents=[{"lot_id": life.lots["mell"], "quantity_used_kg": "1"}, {"lot_id": uuid4(), "quantity_used_kg": "1"}],
    )
    (waiting,) = engine.apply([bulk])
    assert waiting.status == "WAITING"
    assert plant.count("lot_genealogy") == 0


def test_a_registration_for_a_later_step_waits(plant: Plant, engine: Engine) -> None:
    life = Life(plant)
    engine.apply(life.until(1))
    boned = life.register("boned")
    assert engine.apply([boned])[0].waiting_for == {"run_id": str(life.run), "current_step_index": 2}
    engine.apply([life.advance(2)])
    assert life.status("boned") == "QUARANTINE"
