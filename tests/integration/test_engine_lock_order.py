"""Locks are taken in one order, whatever the order of the commands: who holds some never waits for who holds others.

Somebody else holds the lock in the middle of that order. A batch that asks for all of them, the last one first, is then
seen to have those below it and none above. PostgreSQL is kept from finding rows in the order of an index: nothing but
ORDER BY makes it lock them so.
"""

from collections.abc import Callable, Iterable
from uuid import UUID, uuid4

import pytest
from tests.integration.test_engine_lots_life import Life
from tests.outsider import Outsider, lock_number
from tests.plant import REASON, Plant

from runworker.commands import Command
from runworker.engine import Engine

MANY = 16
MIDDLE = MANY // 2

pytestmark = pytest.mark.usefixtures("first_try")


@pytest.fixture(autouse=True)
def no_order_of_itself(plant: Plant) -> None:
    """Rows are found as they lie in their table, or as a hash has them."""
    for way in ("sort", "indexscan", "indexonlyscan", "mergejoin", "incremental_sort"):
        plant.set_default(f"enable_{way}", "off")


@pytest.fixture
def engine(plant: Plant, no_order_of_itself: None) -> Engine:
    """An engine that connects after that."""
    return plant.engine()


@pytest.fixture
def ids() -> list[UUID]:
    """Ids in the order of PostgreSQL's uuid, which is that of their bytes."""
    return sorted(uuid4() for _ in range(MANY))


@pytest.fixture
def locked(engine: Engine, outsider: Outsider) -> Callable[..., list[UUID]]:
    """Those rows of a table that are locked while a batch waits for the one in the middle, that one among them."""

    def look(commands: Iterable[Command], table: str, ids: list[UUID]) -> list[UUID]:
        outsider.hold(table, ids[MIDDLE])
        waiting = outsider.begin(lambda: engine.apply(list(commands)))
        found = outsider.locked(table, ids)
        outsider.rollback()
        waiting.result()
        return found

    return look


def test_ids_that_may_have_no_row(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    commands = [plant.command("start_run", run_id=uuid4()) for _ in range(MIDDLE)]
    numbers = sorted(lock_number(id_) for each in commands for id_ in (each.idempotency_key, each.target_run) if id_)
    outsider.hold_number(numbers[MIDDLE])
    waiting = outsider.begin(lambda: engine.apply(commands))
    assert outsider.numbers_of(waiting) == numbers[:MIDDLE]
    outsider.rollback()
    assert {verdict.status for verdict in waiting.result()} == {"APPLIED"}


def test_rows_of_the_ledger(plant: Plant, engine: Engine, ids: list[UUID], locked: Callable[..., list[UUID]]) -> None:
    commands = [plant.command("start_run", idempotency_key=key) for key in reversed(ids)]
    engine.apply(commands)
    assert locked(commands, "commands", ids) == ids[: MIDDLE + 1]


def test_rows_of_those_that_wait(
    plant: Plant, engine: Engine, ids: list[UUID], locked: Callable[..., list[UUID]]
) -> None:
    run = uuid4()
    start, *_ = plant.life(run)
    engine.apply([plant.command("hold_run", run_id=run, idempotency_key=key) for key in reversed(ids)])
    assert locked([start], "commands", ids) == ids[: MIDDLE + 1]


def test_runs(plant: Plant, engine: Engine, ids: list[UUID], locked: Callable[..., list[UUID]]) -> None:
    engine.apply([plant.command("start_run", run_id=run) for run in reversed(ids)])
    holds = [plant.command("hold_run", run_id=run) for run in reversed(ids)]
    assert locked(holds, "production_runs", ids) == ids[: MIDDLE + 1]


def registered(plant: Plant, engine: Engine, ids: Iterable[UUID]) -> Life:
    """A run at Receipt with raw lots of these ids."""
    life = Life(plant)
    fields = {"run_id": life.run, "lot_type": "RAW", "step_index": 1, "weight_kg": "10"}
    engine.apply([life.start(), life.advance(1)])
    engine.apply([plant.command("register_lot", lot_id=lot, **fields) for lot in ids])
    return life


def test_lots(plant: Plant, engine: Engine, ids: list[UUID], locked: Callable[..., list[UUID]]) -> None:
    registered(plant, engine, reversed(ids))
    hold = {"decision": "HOLD", "notes": REASON}
    decisions = [plant.command("record_qc_decision", lot_id=lot, **hold) for lot in reversed(ids)]
    assert locked(decisions, "lots", ids) == ids[: MIDDLE + 1]


def test_lots_of_a_run(plant: Plant, engine: Engine, ids: list[UUID], locked: Callable[..., list[UUID]]) -> None:
    life = registered(plant, engine, reversed(ids))
    assert locked([life.advance(2)], "lots", ids) == ids[: MIDDLE + 1]


def test_versions(plant: Plant, ids: list[UUID], locked: Callable[..., list[UUID]]) -> None:
    for version in reversed(ids):
        plant.version(status="DRAFT", version_id=version)
    submissions = [plant.command("submit_flow_version", flow_version_id=version) for version in reversed(ids)]
    assert locked(submissions, "flow_versions", ids) == ids[: MIDDLE + 1]


def test_ids_come_before_the_ledger(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    known = plant.command("start_run")
    engine.apply([known])
    outsider.hold_number(lock_number(known.idempotency_key))
    waiting = outsider.begin(lambda: engine.apply([known]))
    assert outsider.locked("commands", [known.idempotency_key]) == []
    outsider.rollback()
    assert waiting.result()[0].replayed


def test_the_ledger_comes_before_runs(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    run = uuid4()
    start, advance, to_3 = plant.life(run)[:3]
    engine.apply([start, to_3])
    outsider.hold("commands", to_3.idempotency_key)
    waiting = outsider.begin(lambda: engine.apply([advance]))
    assert outsider.locked("production_runs", [run]) == []
    outsider.rollback()
    waiting.result()
    assert plant.run(run)[:2] == ("RUNNING", 3)


def test_runs_come_before_lots_and_lots_before_versions(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    (lot,) = ids = [uuid4()]
    life = registered(plant, engine, ids)
    outsider.hold("production_runs", life.run)
    version = plant.version()
    asked = [
        plant.command("record_qc_decision", lot_id=lot, decision="PASS"),
        plant.command("deprecate_flow_version", flow_version_id=version),
    ]
    waiting = outsider.begin(lambda: engine.apply(asked))
    assert (outsider.locked("lots", ids), outsider.locked("flow_versions", [version])) == ([], [])
    outsider.rollback()
    waiting.result()
    outsider.hold("lots", lot)
    asked = [
        plant.command("record_qc_decision", lot_id=lot, decision="HOLD", notes=REASON),
        plant.command("start_run", flow_version_id=(other := plant.version())),
    ]
    waiting = outsider.begin(lambda: engine.apply(asked))
    assert outsider.locked("production_runs", [life.run]) == [life.run]
    assert outsider.locked("flow_versions", [other], against="NO KEY UPDATE") == []
    outsider.rollback()
    waiting.result()
