"""Every refusal about lots: its code, and a message that names the rule and the values."""

from typing import Any
from uuid import uuid4

import pytest
from tests.plant import REASON
from tests.unit.lots import CHILD, LOT, OTHER_RUN, RUN, command, facts, lot, parents, run

from runworker.codes import Code
from runworker.commands import Command
from runworker.errors import Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, LotFact, RunFact

ONE, SUPPLIER = uuid4(), uuid4()


def boned(*wanted: tuple[Any, str], **fields: Any) -> Command:
    made_of = {"lot_id": CHILD, "lot_type": "DEB", "step_index": 2, "parents": parents(*wanted)}
    return command("register_lot", **(made_of | fields))


def known(*others: LotFact | RunFact, status: str = "RUNNING", step: int = 2) -> Facts:
    return facts(run(status, step), *others)


def child(**fields: Any) -> LotFact:
    return lot("QUARANTINE", "DEB", 2, id=CHILD, **fields)


CONSUME = command("consume_lot")
CASES: list[tuple[Code, Command, Facts, str]] = [
    (Code.RUN_NOT_RUNNING, boned((ONE, "1")), known(status="COMPLETED"), f"run {RUN} is COMPLETED"),
    (Code.RUN_ON_HOLD, boned((ONE, "1")), known(status="HOLD"), f"run {RUN} is on HOLD"),
    (Code.STEP_ALREADY_PASSED, boned((ONE, "1")), known(step=3), f"run {RUN} is at step 3; step 2 lies behind it"),
    (Code.LOT_ALREADY_EXISTS, boned((ONE, "1")), known(child()), f"lot {CHILD} has been registered before"),
    (
        Code.LOT_ALREADY_ADOPTED,
        command("adopt_lot", run_id=RUN),
        known(lot()),
        f"lot {LOT} has lot_type RAW and run_id {RUN} already",
    ),
    (Code.LOT_TYPE_LEGACY, boned((ONE, "1"), lot_type="SKW"), known(), "SKW is a legacy type; register SKW15 or SKW30"),
    (Code.LOT_TYPE_NOT_ALLOWED, boned((ONE, "1"), lot_type="MIX"), known(), "step 2 makes DEB, not MIX"),
    (Code.LOT_CODE_INVALID, boned((ONE, "1"), lot_code="DEB-1"), known(), "'DEB-1': expected DEB-YYYYMMDD-SITE-####"),
    (
        Code.LOT_CODE_OTHER_SITE,
        boned((ONE, "1"), lot_code="DEB-20260201-BUDA-0001"),
        known(),
        "lot code DEB-20260201-BUDA-0001 is of BUDA; the run is at MAIN",
    ),
    (Code.SUPPLIER_NOT_ALLOWED, boned((ONE, "1"), supplier_id=SUPPLIER), known(), f"a DEB lot .* got {SUPPLIER}"),
    (Code.PARENT_REPEATED, boned((LOT, "1"), (ONE, "1"), (ONE, "2")), known(), f"parent {ONE} stands twice"),
    (
        Code.RAW_LOT_HAS_PARENTS,
        boned((ONE, "1"), (LOT, "1"), lot_type="RAW", step_index=1),
        known(step=1),
        "a RAW lot .* has no parents; got 2",
    ),
    (Code.PARENTS_REQUIRED, boned(), known(), "a DEB lot is made of at least one parent"),
    (Code.LOT_OWN_PARENT, boned((CHILD, "1")), known(), f"lot {CHILD} cannot be made of itself"),
    (Code.PARENT_NOT_RELEASED, boned((LOT, "1")), known(lot("HOLD")), f"parent {LOT} is HOLD; only RELEASED"),
    (Code.PARENT_NOT_EARLIER, boned((LOT, "1")), known(lot(step=2)), f"parent {LOT} is of step 2, .* step 2"),
    (
        Code.PARENT_RUN_ARCHIVED,
        boned((LOT, "1")),
        known(run("ARCHIVED", 10, id=OTHER_RUN), lot(run_id=OTHER_RUN)),
        f"parent {LOT} belongs to run {OTHER_RUN}, which is ARCHIVED",
    ),
    (
        Code.PARENT_OTHER_SITE,
        boned((LOT, "1")),
        known(run(id=OTHER_RUN, run_code="RUN-20260201-BUDA-0001"), lot(run_id=OTHER_RUN)),
        f"parent {LOT} is at BUDA, the child at MAIN",
    ),
    (Code.QUANTITY_EXCEEDS_LEFT, boned((LOT, "100.01")), known(lot()), f"100.01 kg wanted of parent {LOT}; 100 kg"),
    (
        Code.SKU_MIXED,
        CONSUME,
        known(lot(sku_type="30"), lot("QUARANTINE", "FRZ15", 7, id=CHILD)),
        "a lot of SKU 15 takes no parents of SKU 30",
    ),
    (
        Code.SKU_MIXED,
        CONSUME,
        known(lot(sku_type="30"), lot("QUARANTINE", "PAL", 9, id=CHILD, sku_type="15")),
        "a pallet holds one SKU; this one would hold 15 and 30",
    ),
    (Code.RUN_READ_ONLY, CONSUME, known(lot(), child(), status="ABORTED"), f"lot {CHILD} .* run {RUN}, .* ABORTED"),
    (Code.RAW_LOT_HAS_PARENTS, CONSUME, known(lot(), lot("QUARANTINE", id=CHILD)), f"lot {CHILD} is RAW"),
    (
        Code.NOTES_REQUIRED,
        command("record_qc_decision", decision="FAIL", notes="nine char"),
        known(lot("QUARANTINE")),
        "FAIL needs notes of 10 to 500 characters that say why; got 9",
    ),
    (
        Code.LOT_ILLEGAL_MOVE,
        command("record_qc_decision", decision="FAIL", notes=REASON),
        known(lot()),
        f"lot {LOT} is RELEASED and cannot become REJECTED: it has to be QUARANTINE",
    ),
    (Code.LOT_ILLEGAL_MOVE, command("reject_lot"), known(lot()), f"lot {LOT} is RELEASED and .* it has to be HOLD"),
    (Code.LOT_ILLEGAL_MOVE, command("finish_lot"), known(lot()), f"lot {LOT} is RELEASED; a CONSUMED lot is finished"),
    (
        Code.CHILDREN_NOT_FINISHED,
        command("finish_lot"),
        known(lot("CONSUMED", children=frozenset({CHILD})), child()),
        f"lot {LOT} has 1 child lots",
    ),
]


@pytest.mark.parametrize(("code", "asked", "facts", "said"), CASES, ids=[str(code) for code, *_ in CASES])
def test_a_refusal_names_the_rule_and_the_values(code: Code, asked: Command, facts: Facts, said: str) -> None:
    with pytest.raises(Rejected, match=said) as refusal:
        handle(asked, facts)
    assert refusal.value.code is code


def test_no_rule_of_lots_is_left_out() -> None:
    """Those that only the database knows, or says first, have tests in raw SQL."""
    by_the_database = {
        "LOT_CODE_TAKEN", "LOT_FROZEN", "UNKNOWN_SUPPLIER", "UNKNOWN_QC_GATE", "QC_DECISION_IMMUTABLE",
        "GENEALOGY_CYCLE",
    }  # fmt: skip
    of_lots = [str(code) for code in Code]
    of_lots = of_lots[of_lots.index("LOT_ALREADY_EXISTS") :]
    assert set(of_lots) == by_the_database | {str(code) for code, *_ in CASES if code in of_lots}
