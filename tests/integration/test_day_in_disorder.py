"""A plant's day in random order, every message at least twice, through the engine: it ends as it was planned."""

from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.days import SMALL
from tests.plant import Plant

from runworker.simulation.database_state import read_state
from runworker.simulation.day import DAY_DATA, build_day
from runworker.simulation.delivery import in_disorder
from runworker.simulation.lot_proof import LOT_CHECKS
from runworker.simulation.master_data import bring_in
from runworker.simulation.proof import RUN_CHECKS, Expectation, prove
from runworker.simulation.report import lot_figures, run_figures

LOTS, LINKS, _, BALANCE, DECISIONS, TRAILS, _ = LOT_CHECKS
CHECKS = {**RUN_CHECKS, **LOT_CHECKS}
QUEUE = "demo-test"

TAMPERINGS = {
    "a lot weighs more": (
        "UPDATE lots SET weight_kg = weight_kg + 0.01 WHERE id = :recalled",
        {LOTS, BALANCE},
    ),
    "less went along a link": (
        "UPDATE lot_genealogy SET quantity_used_kg = quantity_used_kg - 0.01 WHERE parent_lot_id = :recalled",
        {LINKS, BALANCE},
    ),
    "a decision is gone": ("DELETE FROM qc_decisions WHERE lot_id = :recalled", {DECISIONS}),
    "a move left no event": (
        "DELETE FROM audit_events WHERE entity = 'lots' AND entity_id = :recalled AND after ->> 'status' = 'RELEASED'",
        {TRAILS},
    ),
}


def test_a_day_ends_as_it_has_to_and_what_is_tampered_with_is_told(plant: Plant, subtests: pytest.Subtests) -> None:
    engine = plant.engine(database_role=None)
    random = Random(5)  # noqa: S311 - a plan to repeat, not a secret
    day = build_day(random, bring_in(engine.database, uuid4(), DAY_DATA), SMALL)
    plan = in_disorder(random, day.commands)
    with capture_logs() as logs:
        for batch in plan.batches(random):
            engine.apply(batch)
    assert "batch.split" not in {log["event"] for log in logs}
    wanted = Expectation(day, plan.copies)
    assert plant.discrepancies() == []

    with engine.database.connect() as connection:
        state = read_state(connection, day, queue=QUEUE)
        checks = prove(CHECKS, wanted, state)
        assert [check for check in checks if check.violations] == []
        figures = run_figures(wanted, state, checks, began=0) | lot_figures(day, state)
        assert (figures["runs"], figures["aborted"], figures["violations"]) == (len(day.runs), 1, 0)
        assert figures["lots"] == len(day.lots) == plant.count("lots")
        assert figures["genealogy_links"] == day.links.total() == plant.count("lot_genealogy")
        assert (figures["holds"], figures["ccp_violations"], figures["rejections"]) == (8, 3, 4)
        assert (figures["rollbacks"], figures["superseded"], figures["rejected"]) == (1, 1, 16)
        assert (figures["recalled_lots"], figures["recalled_shipments"]) == (len(day.containing), 1)
        assert figures["mass_balance_error_kg"] == "0.00"

        for name, (statement, falls) in TAMPERINGS.items():
            with subtests.test(name), connection.begin_nested() as savepoint:
                for table in ("lots", "lot_genealogy", "qc_decisions", "audit_events"):
                    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                assert connection.execute(text(statement), {"recalled": day.recalled}).rowcount > 0
                found = prove(CHECKS, wanted, read_state(connection, day, queue=QUEUE))
                assert {check.claim for check in found if check.violations} == falls
                savepoint.rollback()
