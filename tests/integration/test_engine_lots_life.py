"""A run with its lots from receipt to shipment, through the engine and the database's own guards."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs
from tests.plant import REASON, Plant

from runworker.commands import Command
from runworker.engine import Engine
from runworker.imports import canonical_flow
from runworker.verdicts import Verdict

LOTS: tuple[tuple[str, str, int, str, Mapping[str, str]], ...] = (
    ("mell", "RAW", 1, "700", {}),
    ("bőr", "RAW", 1, "300", {}),
    ("boned", "DEB", 2, "650", {"mell": "700"}),
    ("cut", "DEB", 2, "290", {"bőr": "300"}),
    ("bulk", "BULK", 3, "940", {"boned": "650", "cut": "290"}),
    ("mix", "MIX", 4, "960", {"bulk": "940"}),
    ("skewer 15", "SKW15", 5, "500", {"mix": "500"}),
    ("skewer 30", "SKW30", 5, "460", {"mix": "460"}),
    ("frozen 15", "FRZ15", 7, "500", {"skewer 15": "500"}),
    ("frozen 30", "FRZ30", 7, "460", {"skewer 30": "460"}),
    ("packed 15", "FG15", 8, "500", {"frozen 15": "500"}),
    ("packed 30", "FG30", 8, "460", {"frozen 30": "460"}),
    ("pallet 15", "PAL", 9, "500", {"packed 15": "500"}),
    ("pallet 30", "PAL", 9, "460", {"packed 30": "460"}),
    ("shipment", "SHIP", 10, "960", {"pallet 15": "500", "pallet 30": "460"}),
)
"""Name, type, step, kilograms, what of which parents: 1,000 kg received, 60 lost, 20 gained, 960 shipped."""


class Life:
    """Commands of one run whose lots have names."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.run = uuid4()
        self.lots = {name: uuid4() for name, *_ in LOTS}

    def start(self) -> Command:
        version = self.plant.version(canonical_flow().graph)
        return self.plant.command("start_run", run_id=self.run, flow_version_id=version)

    def advance(self, step: int) -> Command:
        return self.plant.command("advance_step", run_id=self.run, to_step_index=step)

    def register(self, name: str) -> Command:
        (lot,) = [lot for lot in LOTS if lot[0] == name]
        _, lot_type, step, kg, parents = lot
        taken = [{"lot_id": self.lots[parent], "quantity_used_kg": used} for parent, used in parents.items()]
        fields = {"run_id": self.run, "lot_id": self.lots[name], "lot_type": lot_type, "step_index": step}
        return self.plant.command("register_lot", weight_kg=kg, parents=taken, **fields)

    def decide(self, name: str, decision: str = "PASS", **fields: Any) -> Command:
        return self.plant.command("record_qc_decision", lot_id=self.lots[name], decision=decision, **fields)

    def of_lot(self, command: str, name: str, **fields: Any) -> Command:
        return self.plant.command(command, lot_id=self.lots[name], **fields)

    def step(self, index: int) -> list[Command]:
        """What happens at one step: its lots are registered and passed."""
        names = [name for name, _, step, *_ in LOTS if step == index]
        return [command for name in names for command in (self.register(name), self.decide(name))]

    def until(self, index: int) -> list[Command]:
        """From the start to the end of a step."""
        steps = [command for step in range(1, index + 1) for command in (self.advance(step), *self.step(step))]
        return [self.start(), *steps]

    def whole(self) -> list[Command]:
        return [*self.until(10), self.plant.command("complete_run", run_id=self.run)]

    def status(self, name: str) -> str:
        return str(self.plant.sql("SELECT status FROM lots WHERE id = :id", id=self.lots[name])[0][0])


@pytest.fixture
def life(plant: Plant) -> Life:
    return Life(plant)


@pytest.fixture
def worker_engine(plant: Plant, worker_database_url: str) -> Engine:
    """An engine with no more than the worker's rights."""
    return plant.engine(database_url=worker_database_url)


def applied(engine: Engine, *commands: Command) -> list[Verdict]:
    """Apply commands as one batch; each takes effect, and the database has nothing against the whole."""
    with capture_logs() as logs:
        verdicts = engine.apply(commands)
    assert [verdict.as_dict() for verdict in verdicts if verdict.status != "APPLIED"] == []
    assert [entry for entry in logs if entry["event"] == "batch.split"] == []
    return verdicts


def links(plant: Plant) -> list[tuple[UUID, UUID, Decimal]]:
    return [
        tuple(link) for link in plant.sql("SELECT parent_lot_id, child_lot_id, quantity_used_kg FROM lot_genealogy")
    ]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_whole_life_with_the_workers_rights(plant: Plant, life: Life, worker_engine: Engine, batch: int) -> None:
    commands = life.whole()

    for begin in range(0, len(commands), batch):
        last = applied(worker_engine, *commands[begin : begin + batch])[-1]

    assert last.state["lots_finished"] == len(LOTS)
    assert plant.run(life.run)[:2] == ("COMPLETED", 10)
    assert {life.status(name) for name in life.lots} == {"FINISHED"}
    assert sorted(links(plant)) == sorted(
        (life.lots[parent], life.lots[name], Decimal(kg))
        for name, *_, parents in LOTS
        for parent, kg in parents.items()
    )
    assert plant.count("qc_decisions", "decision = 'PASS'") == len(LOTS)
    skus = dict(plant.sql("SELECT id, sku_type FROM lots WHERE sku_type IS NOT NULL"))
    assert skus == {id_: name[-2:] for name, id_ in life.lots.items() if name.endswith(("15", "30"))}


def test_two_lives_in_one_batch(plant: Plant, engine: Engine) -> None:
    one, other = Life(plant), Life(plant)

    applied(engine, *(command for pair in zip(one.whole(), other.whole(), strict=True) for command in pair))

    assert plant.count("lots", "status = 'FINISHED'") == 2 * len(LOTS)


def test_lot_leaves_hold_and_its_run_goes_on_in_one_batch(life: Life, engine: Engine) -> None:
    applied(engine, *life.until(1), life.decide("mell", "HOLD", notes=REASON))

    applied(engine, life.of_lot("resolve_hold", "mell", resolution=REASON), life.advance(2))

    assert life.status("mell") == "RELEASED"


def test_run_goes_on_and_a_lot_of_the_step_before_is_held_in_one_batch(life: Life, engine: Engine) -> None:
    applied(engine, *life.until(1))

    applied(engine, life.advance(2), life.decide("mell", "HOLD", notes=REASON))

    assert life.status("mell") == "HOLD"


def test_lot_is_consumed_into_one_registered_in_the_same_batch(plant: Plant, life: Life, engine: Engine) -> None:
    """The child comes late in its batch, after what happened to another parent."""
    applied(engine, *life.until(1), life.advance(2))
    more = {"into_lot_id": life.lots["boned"], "quantity_used_kg": "12.5", "final": True}

    applied(
        engine,
        life.decide("mell", "HOLD", notes=REASON),
        life.of_lot("resolve_hold", "mell", resolution=REASON),
        life.register("boned"),
        life.of_lot("consume_lot", "bőr", **more),
    )

    assert [life.status(name) for name in ("mell", "bőr")] == ["CONSUMED", "CONSUMED"]
    assert {(parent, kg) for parent, _, kg in links(plant)} == {
        (life.lots["mell"], Decimal(700)),
        (life.lots["bőr"], Decimal("12.50")),
    }


def test_lots_are_finished_one_by_one_in_one_batch(life: Life, engine: Engine) -> None:
    *begun, passed = life.until(10)
    applied(engine, *begun)

    applied(engine, passed, *(life.of_lot("finish_lot", name) for name, *_ in reversed(LOTS)))
    (completed,) = applied(engine, life.plant.command("complete_run", run_id=life.run))

    assert completed.state["lots_finished"] == 0
    assert {life.status(name) for name in life.lots} == {"FINISHED"}


def test_more_than_is_left_is_refused_and_the_rest_of_the_batch_applied(life: Life, engine: Engine) -> None:
    applied(engine, *life.until(1), life.advance(2), life.register("boned"))
    greedy = {"into_lot_id": life.lots["boned"], "quantity_used_kg": "300.01"}

    refused, taken = engine.apply([life.of_lot("consume_lot", "bőr", **greedy), life.register("cut")])

    assert (refused.code, taken.status) == ("QUANTITY_EXCEEDS_LEFT", "APPLIED")
