"""Material that is added to a lot after its registration: the SKU of pallets and shipments, and runs that are over."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.integration.test_engine_lots_life import LOTS, Life, applied
from tests.plant import Plant

from runworker.commands import Command
from runworker.engine import Engine


@pytest.fixture
def life(plant: Plant) -> Life:
    return Life(plant)


def half_loaded(life: Life) -> list[Command]:
    """A run whose shipment holds the pallet of 15 alone."""
    *begun, shipment, _ = life.until(10)
    fields = shipment.payload | {"parents": shipment.payload["parents"][:1], "weight_kg": "500"}
    return [*begun, life.plant.command("register_lot", **fields)]


def load(life: Life, name: str, **fields: Any) -> Command:
    return life.of_lot("consume_lot", name, into_lot_id=life.lots["shipment"], **fields)


def sku(plant: Plant, lot: UUID) -> str | None:
    return plant.sql("SELECT sku_type FROM lots WHERE id = :lot", lot=lot)[0][0]


@pytest.mark.parametrize("batch", [1, 1000])
def test_shipment_takes_the_other_sku_later(plant: Plant, life: Life, engine: Engine, batch: int) -> None:
    shipment = life.lots["shipment"]
    applied(engine, *half_loaded(life))
    assert sku(plant, shipment) == "15"

    commands = [load(life, "pallet 30", quantity_used_kg=kg) for kg in ("200", "260")]
    for begin in range(0, len(commands), batch):
        applied(engine, *commands[begin : begin + batch])

    assert sku(plant, shipment) is None
    assert life.status("pallet 30") == "CONSUMED"
    events = plant.sql(
        "SELECT command_key, before ->> 'sku_type' AS was, after ->> 'sku_type' AS became FROM audit_events"
        " WHERE entity = 'lots' AND entity_id = :lot AND operation = 'UPDATE'",
        lot=shipment,
    )
    assert events == [(commands[0].idempotency_key, "15", None)]


def test_the_last_load_and_the_completion_in_one_batch(plant: Plant, life: Life, engine: Engine) -> None:
    """The load is written while the run is RUNNING, the completion after it, and the batch is not split for it."""
    passed, complete = life.decide("shipment"), plant.command("complete_run", run_id=life.run)
    applied(engine, *half_loaded(life), passed)

    _, completed = applied(engine, load(life, "pallet 30", quantity_used_kg="460"), complete)

    assert completed.state["lots_finished"] == len(LOTS)


def test_nothing_is_loaded_once_the_run_is_over(plant: Plant, life: Life, engine: Engine) -> None:
    passed, complete = life.decide("shipment"), plant.command("complete_run", run_id=life.run)

    *_, late = engine.apply([*half_loaded(life), passed, complete, load(life, "pallet 30", quantity_used_kg="460")])

    assert (late.code, late.state) == ("RUN_READ_ONLY", {"run_status": "COMPLETED"})
    assert "COMPLETED" in (late.message or "")
    assert life.status("pallet 30") == "RELEASED"


def test_older_lots_do_not_go_round_in_a_circle(plant: Plant, engine: Engine) -> None:
    """Nobody knows their steps, so that only the database can tell; the rest of the batch goes on."""
    lots = [uuid4() for _ in range(3)]
    plant.sql(
        "INSERT INTO lots (id, lot_code, status, weight_kg)"
        " SELECT id, 'OLD-' || id, 'QUARANTINE', 10 FROM unnest(CAST(:lots AS uuid[])) AS id",
        lots=lots,
    )
    engine.apply([plant.command("record_qc_decision", lot_id=lot, decision="PASS") for lot in lots])
    pairs = zip(lots, [*lots[1:], lots[0]], strict=True)
    ids = [{"lot_id": lot, "into_lot_id": into} for lot, into in pairs]

    verdicts = engine.apply([plant.command("consume_lot", quantity_used_kg="4", **pair) for pair in ids])

    assert [verdict.code for verdict in verdicts] == [None, None, "GENEALOGY_CYCLE"]
    assert f"Lot {lots[0]} cannot be made of lot {lots[2]}, which descends from it" in (verdicts[2].message or "")
