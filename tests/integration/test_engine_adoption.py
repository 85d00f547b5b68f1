"""Taking over what an older system left in progress: runs and lots, through the engine and the database's guards."""

from functools import partial
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine, pool
from tests.integration.test_engine_lots_life import applied
from tests.plant import REASON, STEPS, Plant, race

from runworker.batch_records import read_run_record, record_page
from runworker.codes import Code
from runworker.commands import Command
from runworker.engine import Engine
from runworker.imports import canonical_flow
from runworker.states import CommandStatus, UserRole
from runworker.verdicts import Verdict

ROUNDS = 20
AT_3 = {
    0: "COMPLETED",
    1: "COMPLETED",
    2: "SKIPPED",
    3: "IN_PROGRESS",
    **dict.fromkeys(range(4, 10), "SKIPPED"),
    10: "PENDING",
}


@pytest.fixture
def worker_engine(plant: Plant, worker_database_url: str) -> Engine:
    """An engine with no more than the worker's rights."""
    return plant.engine(database_url=worker_database_url)


def adopt(plant: Plant, run: UUID, step: int = 3, version: UUID | None = None) -> Command:
    version = version or plant.version(STEPS)
    manager = plant.user(UserRole.MANAGER)
    return plant.command("adopt_run", run_id=run, flow_version_id=version, step_index=step, issued_by=manager)


def of_run(plant: Plant, name: str, run: UUID, **fields: object) -> Command:
    return plant.command(name, run_id=run, **fields)


def old_lots(plant: Plant, *codes: str, run: UUID | None = None) -> list[UUID]:
    """Lots as an older system wrote them, without type and step; a chain of parents and children."""
    lots = [uuid4() for _ in codes]
    plant.sql(
        "INSERT INTO lots (id, lot_code, status, weight_kg, production_run_id, created_at)"
        " SELECT id, code, 'QUARANTINE', 10, :run, now() - interval '8 hours'"
        " FROM unnest(CAST(:lots AS uuid[]), CAST(:codes AS text[])) AS lot (id, code)",
        lots=lots,
        codes=list(codes),
        run=run,
    )
    return lots


def passed(plant: Plant, *lots: UUID) -> list[Command]:
    return [plant.command("record_qc_decision", lot_id=lot, decision="PASS") for lot in lots]


def took(plant: Plant, parent: UUID, child: UUID, kg: str = "10") -> Command:
    return plant.command("consume_lot", lot_id=parent, into_lot_id=child, quantity_used_kg=kg)


def told(engine: Engine, *commands: Command) -> list[str]:
    return [str(verdict.code or verdict.status) for verdict in engine.apply(commands)]


@pytest.mark.parametrize("status", ["RUNNING", "HOLD"])
@pytest.mark.parametrize("batch", [1, 100])
def test_an_adopted_run_goes_on_to_its_end(plant: Plant, worker_engine: Engine, status: str, batch: int) -> None:
    run = plant.legacy_run(status)
    adoption = adopt(plant, run)
    resumed = [of_run(plant, "resume_run", run)] if status == "HOLD" else []
    commands = [
        adoption,
        *resumed,
        of_run(plant, "advance_step", run, to_step_index=10),
        of_run(plant, "rollback_step", run, to_step_index=1, reason=REASON),
        *(of_run(plant, "advance_step", run, to_step_index=step) for step in (3, 10)),
        of_run(plant, "complete_run", run),
    ]
    verdicts = [
        told for at in range(0, len(commands), batch) for told in applied(worker_engine, *commands[at : at + batch])
    ]

    assert verdicts[0].state.items() >= {"run_status": status, "current_step_index": 3, "version_num": 1}.items()
    assert plant.run(run)[:2] == ("COMPLETED", 10)
    events = plant.sql(
        "SELECT command, actor, after FROM audit_events WHERE entity_id = :run ORDER BY id LIMIT 2", run=run
    )
    assert {(event.command, event.actor) for event in events} == {("adopt_run", adoption.issued_by)}
    assert events[0].after["status_reason"] == REASON
    assert plant.discrepancies() == []


def test_an_adopted_run_stands_where_it_stood(plant: Plant, engine: Engine) -> None:
    run = plant.legacy_run("HOLD")
    applied(engine, adopt(plant, run))

    assert plant.run(run) == ("HOLD", 3, AT_3)
    times = "SELECT DISTINCT started_at, completed_at FROM run_step_executions WHERE run_id = :run AND step_index < 3"
    begun = plant.sql("SELECT started_at FROM production_runs WHERE id = :run", run=run)[0].started_at
    assert {tuple(row) for row in plant.sql(times, run=run)} == {(begun, begun), (None, None)}
    assert plant.discrepancies() == []


def test_before_it_is_adopted_a_run_is_held_resumed_and_aborted(plant: Plant, engine: Engine) -> None:
    run = plant.legacy_run()
    held = [of_run(plant, name, run) for name in ("hold_run", "resume_run", "abort_run")]
    assert told(engine, of_run(plant, "advance_step", run, to_step_index=1)) == [Code.RUN_NOT_PINNED]
    applied(engine, *held)
    assert told(engine, adopt(plant, run)) == [Code.RUN_NOT_RUNNING]
    assert plant.discrepancies() == []


def test_an_adoption_is_replayed_and_not_repeated(plant: Plant, engine: Engine) -> None:
    first = adopt(plant, plant.legacy_run())
    applied(engine, first)

    (again,) = engine.apply([first])
    assert (again.status, again.replayed) == (CommandStatus.APPLIED, True)
    assert told(engine, adopt(plant, first.target_run or uuid4())) == [Code.RUN_PIN_IMMUTABLE]


def test_an_adoption_waits_for_a_run_that_is_not_there_yet(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    early = adopt(plant, run)
    assert told(engine, early) == ["WAITING"]

    applied(engine, of_run(plant, "start_run", run))
    assert plant.ledger(early.idempotency_key).code == Code.RUN_PIN_IMMUTABLE


def test_two_adopt_one_run_at_once(plant: Plant) -> None:
    engines = [plant.engine(), plant.engine()]
    versions = [plant.version(STEPS), plant.version(STEPS)]
    for _ in range(ROUNDS):
        run = plant.legacy_run()
        asked = [adopt(plant, run, step, version) for step, version in zip((1, 3), versions, strict=True)]
        works = [partial(engine.apply, [command]) for engine, command in zip(engines, asked, strict=True)]
        verdicts: list[Verdict] = [verdict for (verdict,) in race(*works)]
        assert sorted(str(verdict.code) for verdict in verdicts) == ["None", "RUN_PIN_IMMUTABLE"]
        (won,) = [number for number, verdict in enumerate(verdicts) if verdict.code is None]
        assert plant.run(run)[1] == (1, 3)[won]
    assert plant.count("run_step_executions") == 11 * ROUNDS
    assert plant.discrepancies() == []


def test_a_version_is_published_pinned_and_withdrawn_in_one_batch(plant: Plant, engine: Engine) -> None:
    version = plant.version(STEPS, status="REVIEW")
    verdicts = told(
        engine,
        plant.command("approve_flow_version", flow_version_id=version),
        adopt(plant, plant.legacy_run(), version=version),
        plant.command("deprecate_flow_version", flow_version_id=version),
    )
    assert verdicts == ["APPLIED", "APPLIED", Code.FLOW_VERSION_IN_USE]
    assert plant.discrepancies() == []


def test_a_run_is_not_adopted_behind_its_lots(plant: Plant, engine: Engine) -> None:
    run, other = plant.legacy_run(), plant.legacy_run()
    plant.sql("INSERT INTO lots (lot_code, step_index, production_run_id) VALUES ('ahead', 10, :run)", run=run)
    version = plant.version(STEPS)
    verdicts = told(engine, *(adopt(plant, each, step, version) for each, step in ((run, 3), (run, 10), (other, 3))))
    assert verdicts == [Code.LIVE_LOTS_AHEAD, "APPLIED", "APPLIED"]


def test_a_lot_is_taken_into_an_adopted_run(plant: Plant, worker_engine: Engine) -> None:
    """And then it keeps the run at its step until quality control is done."""
    run = plant.legacy_run(code="RUN-20250601-BUDA-0001")
    (lot,) = old_lots(plant, "MIXLOT-20250601-BUDA-0001")
    version = plant.version(canonical_flow().graph)
    given = plant.command("adopt_lot", lot_id=lot, lot_type="MIX", run_id=run, step_index=4, reason=REASON)
    assert told(worker_engine, given) == ["WAITING"]

    applied(worker_engine, adopt(plant, run, 4, version))
    assert plant.ledger(given.idempotency_key).status == "APPLIED"
    advance = partial(of_run, plant, "advance_step", run)
    assert told(worker_engine, advance(to_step_index=5)) == [Code.QC_PENDING]
    skewers = plant.command(
        "register_lot", run_id=run, step_index=5, lot_type="SKW15", weight_kg="10",
        parents=[{"lot_id": lot, "quantity_used_kg": "10"}],
    )  # fmt: skip
    applied(worker_engine, *passed(plant, lot), advance(to_step_index=5), skewers)

    (row,) = plant.sql(
        "SELECT lot_type, production_run_id, step_index, status, status_reason FROM lots WHERE id = :lot", lot=lot
    )
    assert tuple(row) == ("MIX", run, 4, "CONSUMED", REASON)
    assert plant.discrepancies() == []


def test_a_lot_is_adopted_by_one_of_two(plant: Plant) -> None:
    engines = [plant.engine(), plant.engine()]
    runs = [plant.legacy_run(), plant.legacy_run()]
    lots = old_lots(plant, *(f"OLD-{number}" for number in range(ROUNDS)))
    for lot in lots:
        asked = [plant.command("adopt_lot", lot_id=lot, run_id=run) for run in runs]
        works = [partial(engine.apply, [command]) for engine, command in zip(engines, asked, strict=True)]
        assert sorted(str(verdict.code) for (verdict,) in race(*works)) == ["LOT_ALREADY_ADOPTED", "None"]
    assert plant.discrepancies() == []


def test_what_a_lot_is_given_fits_its_genealogy(plant: Plant, engine: Engine) -> None:
    """The database alone reads it; the rest of the batch goes on."""
    first, middle, last, other = old_lots(plant, "OLD-1", "OLD-2", "OLD-3", "OLD-4")
    at_pest = plant.legacy_run(code="RUN-20250601-PEST-0001")
    at_buda = plant.legacy_run(code="RUN-20250601-BUDA-0001")
    applied(
        engine, *passed(plant, first, middle, other), took(plant, first, middle, "4"), took(plant, middle, last, "4")
    )
    given = partial(plant.command, "adopt_lot")
    applied(engine, given(lot_id=last, lot_type="FRZ30"), given(lot_id=first, run_id=at_buda))

    verdicts = told(
        engine,
        given(lot_id=last, run_id=at_pest),
        given(lot_id=last, step_index=7),
        given(lot_id=middle, lot_type="RAW"),
        given(lot_id=middle, lot_type="SKW15"),
        given(lot_id=middle, step_index=7),
        given(lot_id=middle, run_id=at_buda),
        given(lot_id=middle, lot_type="SKW30"),
        given(lot_id=other, lot_type="RAW"),
    )
    assert verdicts == [
        Code.PARENT_OTHER_SITE, "APPLIED", Code.LOT_FROZEN, Code.SKU_MIXED, Code.LOT_FROZEN,
        "APPLIED", "APPLIED", "APPLIED",
    ]  # fmt: skip
    assert plant.discrepancies() == []


def test_the_lots_of_an_adopted_run_are_finished_with_it(plant: Plant, engine: Engine) -> None:
    """Though nobody knows their steps."""
    run = plant.legacy_run()
    lots = old_lots(plant, *(f"OLD-{number}" for number in range(4)), run=run)
    pairs = pairwise(lots)
    applied(
        engine,
        *passed(plant, *lots),
        *(took(plant, parent, child) for parent, child in pairs),
        plant.command("adopt_lot", lot_id=lots[-1], lot_type="SHIP"),
        adopt(plant, run, 10),
    )

    (done,) = applied(engine, of_run(plant, "complete_run", run))
    assert done.state["lots_finished"] == len(lots)
    assert plant.discrepancies() == []


def test_a_batch_record_tells_of_the_adoption(plant: Plant, engine: Engine) -> None:
    run, own = plant.legacy_run(), uuid4()
    applied(
        engine,
        adopt(plant, run),
        of_run(plant, "advance_step", run, to_step_index=10),
        of_run(plant, "complete_run", run),
        *plant.life(own),
    )
    database = create_engine(plant.url, poolclass=pool.NullPool)

    record = read_run_record(database, str(run))
    assert record.adoption is not None
    assert (record.adoption.after, record.adoption.reason) == ("step 3", REASON)
    assert record.adoption.actor == plant.user(UserRole.MANAGER)
    page = record_page(record)
    assert "from an older system, at step 3" in page
    assert "The run was taken over from an older system" in page
    assert record.by_hand == ()
    record = read_run_record(database, str(own))
    assert record.adoption is None
    assert "older system" not in record_page(record)
