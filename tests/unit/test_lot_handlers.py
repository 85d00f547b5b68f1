"""Use cases of lots: what every command says to a lot in every state, and to whom."""

from decimal import Decimal
from typing import Any

import pytest
from tests.plant import REASON
from tests.unit.lots import (
    CHILD,
    LOT,
    NEEDED,
    OTHER_RUN,
    RUN,
    STRANGER,
    USERS,
    applied,
    command,
    facts,
    lot,
    parents,
    run,
    said,
)

from runworker.codes import Code
from runworker.commands import COMMANDS, Command
from runworker.commands.lots import LOT_COMMANDS
from runworker.handlers.facts import LotFact
from runworker.states import LotStatus, LotType, StepExecutionStatus, UserRole

STATES = ("no lot", *LotStatus)

# What comes of each command (left) for a RAW lot in each state (above), consumed or not. x: LOT_ILLEGAL_MOVE.
TABLE = """
               no_lot      CREATED              QUARANTINE           RELEASED           HOLD                 REJECTED             CONSUMED             FINISHED
    register   QUARANTINE  LOT_ALREADY_EXISTS   LOT_ALREADY_EXISTS   LOT_ALREADY_EXISTS LOT_ALREADY_EXISTS   LOT_ALREADY_EXISTS   LOT_ALREADY_EXISTS   LOT_ALREADY_EXISTS
    PASS       waits:lot   x                    RELEASED             x                  x                    x                    x                    x
    HOLD       waits:lot   x                    HOLD                 HOLD               x                    x                    x                    x
    FAIL       waits:lot   x                    REJECTED             x                  x                    x                    x                    x
    too-warm   waits:lot   x                    HOLD                 HOLD               x                    x                    x                    x
    resolve    waits:lot   x                    x                    x                  RELEASED             x                    x                    x
    reject     waits:lot   x                    x                    x                  REJECTED             x                    x                    x
    consume    waits:lot   PARENT_NOT_RELEASED  PARENT_NOT_RELEASED  RELEASED           PARENT_NOT_RELEASED  PARENT_NOT_RELEASED  PARENT_NOT_RELEASED  PARENT_NOT_RELEASED
    use-up     waits:lot   PARENT_NOT_RELEASED  PARENT_NOT_RELEASED  CONSUMED           PARENT_NOT_RELEASED  PARENT_NOT_RELEASED  PARENT_NOT_RELEASED  PARENT_NOT_RELEASED
    finish     waits:lot   x                    x                    x                  x                    x                    FINISHED             x
    adopt      waits:lot   LOT_ALREADY_ADOPTED  LOT_ALREADY_ADOPTED  LOT_ALREADY_ADOPTED LOT_ALREADY_ADOPTED  LOT_ALREADY_ADOPTED  LOT_ALREADY_ADOPTED  LOT_ALREADY_ADOPTED
"""  # noqa: E501 - a table is read across

ASKED: dict[str, Command] = {
    "register": command("register_lot"),
    "PASS": command("record_qc_decision"),
    "HOLD": command("record_qc_decision", decision="HOLD", notes=REASON),
    "FAIL": command("record_qc_decision", decision="FAIL", notes=REASON),
    "too-warm": command("record_qc_decision", temperature_c="4.1"),
    "resolve": command("resolve_hold"),
    "reject": command("reject_lot"),
    "consume": command("consume_lot"),
    "use-up": command("consume_lot", quantity_used_kg="100"),
    "finish": command("finish_lot"),
    "adopt": command("adopt_lot"),
}


def cells() -> list[tuple[str, str, str]]:
    _, *lines = [line.split() for line in TABLE.strip().splitlines()]
    shown = {"x": "LOT_ILLEGAL_MOVE", "waits:lot": "waits: lot_id"}
    return [
        (row, state, shown.get(cell, cell)) for row, *found in lines for state, cell in zip(STATES, found, strict=True)
    ]


def with_lot(state: str) -> list[LotFact]:
    child = lot("QUARANTINE", "DEB", 2, id=CHILD)
    return [child] if state == "no lot" else [child, lot(state)]


@pytest.mark.parametrize(("row", "state", "expected"), cells())
def test_every_command_in_every_state(row: str, state: str, expected: str) -> None:
    assert said(ASKED[row], facts(run(), *with_lot(state))) == expected


def test_every_command_is_in_the_table() -> None:
    assert {row for row, _, _ in cells()} == ASKED.keys()
    assert {asked.name for asked in ASKED.values()} == {asked.name for asked in LOT_COMMANDS}


@pytest.mark.parametrize("role", UserRole)
@pytest.mark.parametrize("name", [asked.name for asked in LOT_COMMANDS])
def test_who_asks_is_judged_before_what_is_asked(name: str, role: UserRole) -> None:
    """A role that may not ask learns nothing of the lot, not even whether it exists."""
    answers = {said(command(name, issued_by=USERS[role]), facts(run(), *with_lot(state))) for state in STATES}
    if role in COMMANDS[name].roles:
        assert Code.ROLE_NOT_ALLOWED not in answers
    else:
        assert answers == {Code.ROLE_NOT_ALLOWED}


@pytest.mark.parametrize("name", NEEDED)
def test_a_stranger_learns_nothing(name: str) -> None:
    assert said(command(name, issued_by=STRANGER), facts(run(), lot())) == Code.UNKNOWN_USER


def test_who_may_issue_what() -> None:
    allowed = {asked.name: " ".join(sorted(asked.roles)) for asked in LOT_COMMANDS}
    assert allowed == {
        "register_lot": "ADMIN MANAGER OPERATOR",
        "record_qc_decision": "ADMIN AUDITOR MANAGER OPERATOR",
        "resolve_hold": "ADMIN MANAGER",
        "reject_lot": "ADMIN MANAGER",
        "consume_lot": "ADMIN MANAGER OPERATOR",
        "finish_lot": "ADMIN MANAGER OPERATOR",
        "adopt_lot": "ADMIN MANAGER",
    }


@pytest.mark.parametrize(("name", "other"), [("record_qc_decision", {}), ("resolve_hold", {}), ("reject_lot", {}),
                                             ("consume_lot", {"lot_id": CHILD, "into_lot_id": LOT}),
                                             ("finish_lot", {})])  # fmt: skip
def test_a_lot_of_an_archived_run_does_not_change(name: str, other: dict[str, Any]) -> None:
    known = facts(run("ARCHIVED"), lot("HOLD"), lot(id=CHILD, run_id=None))
    assert said(command(name, **other), known) == Code.RUN_READ_ONLY


@pytest.mark.parametrize("status", ["COMPLETED", "ABORTED"])
@pytest.mark.parametrize(
    ("name", "was", "becomes"),
    [
        ("record_qc_decision", "QUARANTINE", "RELEASED"),
        ("resolve_hold", "HOLD", "RELEASED"),
        ("reject_lot", "HOLD", "REJECTED"),
        ("consume_lot", "RELEASED", "RELEASED"),
        ("finish_lot", "CONSUMED", "FINISHED"),
    ],
)
def test_the_lots_of_a_finished_run_live_on(status: str, name: str, was: str, becomes: str) -> None:
    """They are in stock: quality control decides on them, and the lots of other runs are made of them."""
    other = [run(id=OTHER_RUN, step=2), lot("QUARANTINE", "DEB", 2, id=CHILD, run_id=OTHER_RUN)]
    assert said(command(name), facts(run(status, 10), lot(was), *other)) == becomes


# Registration: the run's turn and state, the type, the code.

TYPES = {
    0: (),
    1: ("RAW",),
    2: ("DEB",),
    3: ("BULK",),
    4: ("MIX",),
    5: ("SKW15", "SKW30"),
    6: (),
    7: ("FRZ15", "FRZ30"),
    8: ("FG15", "FG30"),
    9: ("PAL",),
    10: ("SHIP",),
}
LEGACY = ("SKW", "FRZ", "FG")


def registration(step: int, lot_type: str, **fields: Any) -> Command:
    made_of = {} if lot_type == "RAW" else {"parents": parents((CHILD, "100"))}
    return command("register_lot", **({"step_index": step, "lot_type": lot_type} | made_of | fields))


@pytest.mark.parametrize("lot_type", LotType)
@pytest.mark.parametrize("step", TYPES)
def test_what_each_step_makes(step: int, lot_type: str) -> None:
    parent = lot(id=CHILD, step=0, lot_type=None)
    allowed = "QUARANTINE" if lot_type in TYPES[step] else "LOT_TYPE_NOT_ALLOWED"
    expected = "LOT_TYPE_LEGACY" if lot_type in LEGACY else allowed
    assert said(registration(step, lot_type), facts(run(step=step), parent)) == expected


@pytest.mark.parametrize(
    ("status", "step", "expected"),
    [
        ("RUNNING", 0, "waits: run_id current_step_index"),
        ("RUNNING", 1, "QUARANTINE"),
        ("RUNNING", 2, "STEP_ALREADY_PASSED"),
        ("HOLD", 0, "waits: run_id current_step_index"),
        ("HOLD", 1, "RUN_ON_HOLD"),
        ("HOLD", 2, "STEP_ALREADY_PASSED"),
        ("IDLE", 0, "waits: run_id run_status"),
        ("COMPLETED", 10, "RUN_NOT_RUNNING"),
        ("ABORTED", 1, "RUN_NOT_RUNNING"),
        ("ARCHIVED", 10, "RUN_NOT_RUNNING"),
    ],
)
def test_a_lot_is_registered_at_the_runs_current_step(status: str, step: int, expected: str) -> None:
    assert said(registration(1, "RAW"), facts(run(status, step))) == expected


def test_a_lot_waits_for_its_run_and_is_refused_at_a_step_that_is_not_planned() -> None:
    assert said(registration(1, "RAW"), facts()) == "waits: run_id"
    begun = run(step=1)
    steps = tuple(
        step._replace(status=StepExecutionStatus.SKIPPED) if step.step_index == 2 else step for step in begun.steps
    )
    assert said(registration(2, "DEB"), facts(begun._replace(steps=steps))) == Code.STEP_NOT_PLANNED
    assert said(registration(1, "RAW"), facts(run(steps=()))) == Code.RUN_NOT_PINNED


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("RAW-20260201-MAIN-0001", "QUARANTINE"),
        ("RAW-20240229-MAIN-12345", "QUARANTINE"),
        ("RAW-20260201-BUDA-0001", "LOT_CODE_OTHER_SITE"),
        ("DEB-20260201-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-20260201-MAIN-001", "LOT_CODE_INVALID"),
        ("RAW-20260201-MAI-0001", "LOT_CODE_INVALID"),
        ("RAW-20260201-main-0001", "LOT_CODE_INVALID"),
        ("raw-20260201-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-20260230-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-20261301-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-00000101-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-2026-02-01-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-20260201-MAIN-0001\n", "LOT_CODE_INVALID"),
        (" RAW-20260201-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-\u0662\u0660\u0662\u0666\u0660\u0662\u0660\u0661-MAIN-0001", "LOT_CODE_INVALID"),
        ("RAW-20260201-MAIN-\u0660\u0660\u0660\u0661", "LOT_CODE_INVALID"),
        ("", "LOT_CODE_INVALID"),
    ],
)
def test_a_callers_own_code(code: str, expected: str) -> None:
    assert said(registration(1, "RAW", lot_code=code), facts(run())) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [("MIXLOT-20260201-MAIN-0001", "QUARANTINE"), ("MIX-20260201-MAIN-0001", "LOT_CODE_INVALID")],
)
def test_a_mix_is_spelled_mixlot(code: str, expected: str) -> None:
    parent = lot(id=CHILD, lot_type="BULK", step=3)
    assert said(registration(4, "MIX", lot_code=code), facts(run(step=4), parent)) == expected


def test_a_code_of_a_legacy_run_is_of_the_default_site() -> None:
    legacy = run(run_code="OLD-1")
    code = "RAW-20260201-BUDA-0001"
    assert said(registration(1, "RAW", lot_code=code), facts(legacy, site="BUDA")) == "QUARANTINE"
    assert said(registration(1, "RAW", lot_code=code), facts(legacy)) == Code.LOT_CODE_OTHER_SITE


def test_a_supplier_brings_raw_lots_only() -> None:
    supplier = LOT
    assert said(registration(1, "RAW", supplier_id=supplier), facts(run())) == "QUARANTINE"
    known = facts(run(step=2), lot(id=CHILD))
    assert said(registration(2, "DEB", supplier_id=supplier), known) == Code.SUPPLIER_NOT_ALLOWED


def test_a_new_lot_has_what_the_command_says() -> None:
    operator = USERS[UserRole.OPERATOR]
    asked = registration(
        1, "RAW", weight_kg="12.5", temperature_c="3.9", operator_id=operator, metadata={"truck": "7"}, supplier_id=RUN
    )
    outcome = applied(asked, facts(run()))
    assert outcome.lots == (
        LotFact(
            id=LOT,
            lot_code=None,
            lot_type=LotType.RAW,
            status=LotStatus.QUARANTINE,
            run_id=RUN,
            step_index=1,
            weight_kg=Decimal("12.5"),
            temperature_c=Decimal("3.9"),
            supplier_id=RUN,
            operator_id=operator,
            metadata={"truck": "7"},
            new_at_site="MAIN",
        ),
    )
    assert (outcome.run, outcome.links, dict(outcome.state)) == (None, (), {})


def test_a_new_lot_has_its_keys_id_and_its_issuer_where_none_is_given() -> None:
    asked = command("register_lot", lot_id=None, issued_by=USERS[UserRole.OPERATOR])
    (made,) = applied(asked, facts(run())).lots
    assert (made.id, made.operator_id) == (asked.idempotency_key, USERS[UserRole.OPERATOR])
    assert said(command("register_lot", operator_id=STRANGER), facts(run())) == Code.UNKNOWN_USER
