"""Quality decisions on lots, the end of a hold, and the end of a lot."""

from decimal import Decimal
from uuid import uuid4

import pytest
from tests.plant import REASON
from tests.unit.lots import (
    CHILD,
    LOT,
    NOW,
    RUN,
    USERS,
    applied,
    command,
    facts,
    lot,
    run,
    said,
)

from runworker.codes import Code
from runworker.errors import InvalidMessage, Rejected
from runworker.handlers import handle
from runworker.states import LotStatus, UserRole

CCP_LIMITS = {1: "4.0", 7: "-18.0", 10: "-18.0"}
AT_STEP = {1: "RAW", 7: "FRZ15", 10: "SHIP"}


@pytest.mark.parametrize("decision", ["PASS", "HOLD", "FAIL"])
@pytest.mark.parametrize("measured", ["now", "at registration", "now, over a good one before"])
@pytest.mark.parametrize("step", CCP_LIMITS)
def test_a_ccp_over_its_limit_forces_hold_whatever_was_decided(step: int, measured: str, decision: str) -> None:
    limit = Decimal(CCP_LIMITS[step])
    over = limit + Decimal("0.1")
    had = {"now": None, "at registration": over}.get(measured, limit)
    asked = command(
        "record_qc_decision", decision=decision, notes=REASON, temperature_c=None if measured[0] == "a" else over
    )
    outcome = applied(asked, facts(run(step=step), lot("QUARANTINE", AT_STEP[step], step, temperature_c=had)))
    (held,) = outcome.lots
    assert (held.status, held.temperature_c) == ("HOLD", over)
    assert held.status_reason == (
        f"CCP: {over} °C is above the limit of {limit} °C of step {step}; decided {decision}: {REASON}"
    )
    assert dict(outcome.state) == {"ccp_violation": True}
    assert outcome.qc_record is not None
    assert (outcome.qc_record.decision, outcome.qc_record.temperature_c) == (decision, over)


def test_a_ccp_over_its_limit_needs_no_notes_of_whoever_passed_it() -> None:
    asked = command("record_qc_decision", temperature_c="4.1")
    (held,) = applied(asked, facts(run(), lot("QUARANTINE"))).lots
    assert held.status_reason == "CCP: 4.1 °C is above the limit of 4.0 °C of step 1; decided PASS"


@pytest.mark.parametrize("step", CCP_LIMITS)
@pytest.mark.parametrize(("decision", "expected"), [("PASS", "RELEASED"), ("HOLD", "HOLD"), ("FAIL", "REJECTED")])
def test_a_ccp_at_its_limit_is_kept(step: int, decision: str, expected: str) -> None:
    asked = command("record_qc_decision", decision=decision, notes=REASON, temperature_c=CCP_LIMITS[step])
    outcome = applied(asked, facts(run(step=step), lot("QUARANTINE", AT_STEP[step], step, temperature_c=Decimal(50))))
    assert (outcome.lots[0].status, outcome.lots[0].status_reason) == (expected, REASON)
    assert dict(outcome.state) == {"ccp_violation": False}


@pytest.mark.parametrize("step", [2, 3, 4, 5, 8, 9, None])
def test_a_step_that_is_no_ccp_has_no_limit(step: int | None) -> None:
    asked = command("record_qc_decision", temperature_c="50")
    assert said(asked, facts(run(), lot("QUARANTINE", "DEB", step))) == "RELEASED"


def test_the_longest_reason_of_a_ccp_hold_fits_the_table() -> None:
    asked = command("record_qc_decision", decision="HOLD", notes="x" * 500, temperature_c="-17.9")
    (held,) = applied(asked, facts(run(step=10), lot("QUARANTINE", "SHIP", 10))).lots
    assert len(held.status_reason or "") <= 700


@pytest.mark.parametrize("decision", ["PASS", "HOLD", "FAIL"])
@pytest.mark.parametrize(
    ("notes", "enough"),
    [(None, False), ("", False), ("   ", False), ("nine char", False), ("  nine char  ", False), ("ten chars!", True),
     ("x" * 500, True), (f"  {'x' * 500}  ", True)],
)  # fmt: skip
def test_hold_and_fail_need_notes(decision: str, notes: str | None, enough: bool) -> None:
    asked = command("record_qc_decision", decision=decision, notes=notes)
    refused = decision != "PASS" and not enough
    assert (said(asked, facts(run(), lot("QUARANTINE"))) == Code.NOTES_REQUIRED) is refused


@pytest.mark.parametrize(
    ("name", "field"),
    [("record_qc_decision", "notes"), ("resolve_hold", "resolution"), ("reject_lot", "reason"),
     ("rollback_step", "reason"), ("reject_flow_version", "reason"), ("deprecate_flow_version", "reason")],
)  # fmt: skip
def test_nobody_writes_more_than_500_characters(name: str, field: str) -> None:
    with pytest.raises(InvalidMessage, match=f"{field}: .*500 characters") as error:
        command(name, **{field: "x" * 501})
    assert error.value.code is Code.INVALID_FIELD


@pytest.mark.parametrize("reason", ["nine char", " nine char ", " " * 40, ""])
@pytest.mark.parametrize(
    ("name", "field"),
    [("resolve_hold", "resolution"), ("reject_lot", "reason"), ("rollback_step", "reason"),
     ("reject_flow_version", "reason"), ("deprecate_flow_version", "reason")],
)  # fmt: skip
def test_a_reason_has_ten_characters_once_trimmed(name: str, field: str, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=f"{field}: .*10 characters"):
        command(name, **{field: reason})


def test_a_decision_is_recorded_as_it_was_made() -> None:
    asked = command(
        "record_qc_decision", decision="FAIL", notes=f" {REASON} ", qc_gate_id=RUN, digital_signature="signed",
        issued_by=USERS[UserRole.AUDITOR],
    )  # fmt: skip
    outcome = applied(asked, facts(run(), lot("QUARANTINE", temperature_c=Decimal("3.5"))))
    record = outcome.qc_record
    assert record is not None
    assert (record.id, record.lot_id, record.qc_gate_id) == (asked.idempotency_key, LOT, RUN)
    assert (record.operator_id, record.decision, record.notes) == (USERS[UserRole.AUDITOR], "FAIL", REASON)
    assert (record.temperature_c, record.digital_signature, record.decided_at) == (Decimal("3.5"), "signed", NOW)
    assert outcome.lots == (
        lot("REJECTED", temperature_c=Decimal("3.5"), status_reason=REASON),
    )  # nothing else of the lot


def test_a_pass_without_notes_keeps_what_was_said_of_the_lot() -> None:
    (passed,) = applied(command("record_qc_decision"), facts(run(), lot("QUARANTINE", status_reason="late"))).lots
    assert passed == lot("RELEASED", status_reason="late")


@pytest.mark.parametrize(("name", "becomes"), [("resolve_hold", "RELEASED"), ("reject_lot", "REJECTED")])
def test_what_leaves_hold_says_why(name: str, becomes: str) -> None:
    assert applied(command(name), facts(run(), lot("HOLD"))).lots == (lot(becomes, status_reason=REASON),)


def test_a_refusal_names_the_rule_and_the_values() -> None:
    with pytest.raises(Rejected) as refusal:
        handle(command("resolve_hold"), facts(run(), lot("QUARANTINE")))
    assert refusal.value.message == f"lot {LOT} is QUARANTINE and cannot become RELEASED: it has to be HOLD"
    assert refusal.value.facts == {"lot_status": "QUARANTINE"}
    with pytest.raises(Rejected) as refusal:
        handle(
            command("consume_lot", quantity_used_kg="100.01"),
            facts(run(), lot(), lot("QUARANTINE", "DEB", 2, id=CHILD)),
        )
    assert refusal.value.message == f"100.01 kg wanted of parent {LOT}; 100 kg of 100 kg are left"
    assert refusal.value.facts == {"left_kg": "100"}


# Finishing.


@pytest.mark.parametrize(
    ("lot_type", "status", "expected"),
    [
        ("SHIP", "RELEASED", "FINISHED"),
        ("SHIP", "QUARANTINE", "LOT_ILLEGAL_MOVE"),
        ("SHIP", "HOLD", "LOT_ILLEGAL_MOVE"),
        ("PAL", "RELEASED", "LOT_ILLEGAL_MOVE"),
        ("PAL", "CONSUMED", "FINISHED"),
        (None, "RELEASED", "LOT_ILLEGAL_MOVE"),
    ],
)
def test_a_released_shipment_has_no_child_to_wait_for(lot_type: str | None, status: str, expected: str) -> None:
    assert said(command("finish_lot"), facts(run(), lot(status, lot_type, 9))) == expected


@pytest.mark.parametrize("state", LotStatus)
def test_a_lot_is_finished_after_its_children(state: LotStatus) -> None:
    known = facts(run(), lot("CONSUMED", children=frozenset({CHILD})), lot(state, "DEB", 2, id=CHILD))
    closed = state in (LotStatus.FINISHED, LotStatus.REJECTED)
    assert said(command("finish_lot"), known) == ("FINISHED" if closed else Code.CHILDREN_NOT_FINISHED)


@pytest.mark.parametrize("many", [1, 20, 21])
def test_a_refused_finish_names_the_open_children_and_no_more_than_twenty(many: int) -> None:
    opened, closed = sorted(uuid4() for _ in range(many)), uuid4()
    children = [*(lot(id=child) for child in opened), lot("FINISHED", id=closed)]
    parent = lot("CONSUMED", children=frozenset({*opened, closed}))
    with pytest.raises(Rejected, match=f"has {many} child lots") as refusal:
        handle(command("finish_lot"), facts(run(), parent, *children))
    assert refusal.value.facts == {"children": [str(child) for child in opened[:20]]}
