"""A plant's day in random order, every message at least twice, through the engine: it ends as its script has it."""

from collections import Counter
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.days import SMALL
from tests.integration.test_demo_proof import QUEUE, batches
from tests.plant import Plant

from runworker.demo.day.book import Day
from runworker.demo.day.cast import enter
from runworker.demo.day.evidence import DayEvidence, read_day
from runworker.demo.day.proof import DAY_CHECKS
from runworker.demo.day.report import report_day
from runworker.demo.day.scenario import write_day
from runworker.demo.delivery import deliveries
from runworker.demo.proof import CHECKS, Check, prove
from runworker.demo.report import report
from runworker.demo.script import Claim

LOTS, LINKS, _, BALANCE, DECISIONS, TRAILS, _ = DAY_CHECKS

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
    day = write_day(random, enter(engine.database, uuid4()), SMALL)
    messages = deliveries(random, day.commands)
    with capture_logs() as logs:
        for batch in batches(random, messages):
            engine.apply(batch)
    assert "batch.split" not in {log["event"] for log in logs}
    copies = Counter(message.idempotency_key for message in messages)
    claim = Claim(day.lives, day.versions, copies, 0, day.others)

    with engine.database.connect() as connection:
        evidence = read_day(connection, claim, day, queue=QUEUE)
        checks = proved(claim, day, evidence)
        assert [check for check in checks if check.violations] == []
        plain = report(claim, evidence.plain, checks, gave_up=None, began=0)
        figures = report_day(plain, day, evidence).as_dict()
        assert (figures["runs"], figures["aborted"], figures["violations"]) == (len(day.lives), 1, 0)
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
                found = proved(claim, day, read_day(connection, claim, day, queue=QUEUE))
                assert {check.claim for check in found if check.violations} == falls
                savepoint.rollback()


def proved(claim: Claim, day: Day, evidence: DayEvidence) -> list[Check]:
    return [*prove(CHECKS, claim, evidence.plain), *prove(DAY_CHECKS, day, evidence)]
