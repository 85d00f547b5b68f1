"""Material that goes from one lot into another, and what refusals about lots say, to the word."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.plant import REASON
from tests.unit.lots import CHILD, LOT, RUN, applied, command, facts, lot, run

from runworker.commands import Command
from runworker.errors import NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, LinkFact

CHILD_LOT: dict[str, Any] = {"id": CHILD, "step": 2}


def test_what_is_taken_is_linked_to_what_it_went_into() -> None:
    outcome = applied(command("consume_lot"), facts(run(), lot(), lot("QUARANTINE", "DEB", **CHILD_LOT)))
    assert outcome.links == (LinkFact(LOT, CHILD, Decimal(40), RUN),)
    assert [(each.id, each.taken_kg, each.children) for each in outcome.lots] == [(LOT, 40, frozenset({CHILD}))]


def test_a_pallet_is_relabelled_where_its_sku_changes_and_left_alone_where_not() -> None:
    packed = lot("RELEASED", "FG15", 8)
    taken = [
        applied(command("consume_lot"), facts(run(step=9), packed, lot("QUARANTINE", "PAL", 9, id=CHILD, sku_type=sku)))
        for sku in ("15", None)
    ]
    assert [[(each.id, each.sku_type) for each in outcome.lots] for outcome in taken] == [
        [(LOT, "15")],
        [(LOT, "15"), (CHILD, "15")],
    ]


REFUSED: dict[str, tuple[Command, Facts, str, str, dict[str, Any]]] = {
    "into a finished run": (
        command("consume_lot"), facts(run("COMPLETED"), lot(), lot("QUARANTINE", "DEB", **CHILD_LOT)),
        "RUN_READ_ONLY", f"lot {CHILD} belongs to run {RUN}, which is COMPLETED: what its lots are made of is settled",
        {"run_status": "COMPLETED"},
    ),
    "into a rejected lot": (
        command("consume_lot"), facts(run(), lot(), lot("REJECTED", "DEB", **CHILD_LOT)),
        "LOT_ILLEGAL_MOVE", f"lot {CHILD} is REJECTED and takes no more material", {},
    ),
    "of a lot that waits for quality control": (
        command("consume_lot"), facts(run(), lot("QUARANTINE"), lot("QUARANTINE", "DEB", **CHILD_LOT)),
        "PARENT_NOT_RELEASED", f"parent {LOT} is QUARANTINE; only RELEASED lots are used", {"lot_status": "QUARANTINE"},
    ),
    "a type that the step does not make": (
        command("register_lot", step_index=5), facts(run(step=5)),
        "LOT_TYPE_NOT_ALLOWED", "step 5 makes SKW15 or SKW30, not RAW", {},
    ),
    "a lot of a step that makes none": (
        command("register_lot", step_index=6), facts(run(step=6)),
        "LOT_TYPE_NOT_ALLOWED", "step 6 makes no lots, not RAW", {},
    ),
    "of an archived run": (
        command("resolve_hold"), facts(run("ARCHIVED"), lot("HOLD")),
        "RUN_READ_ONLY", f"lot {LOT} belongs to run {RUN}, which is ARCHIVED", {},
    ),
    "a hold of what is finished": (
        command("record_qc_decision", decision="HOLD", notes=REASON), facts(run(), lot("FINISHED")),
        "LOT_ILLEGAL_MOVE",
        f"lot {LOT} is FINISHED and cannot become HOLD: it has to be QUARANTINE or RELEASED",
        {"lot_status": "FINISHED"},
    ),
    "a day that is none": (
        command("register_lot", lot_code="RAW-20260132-MAIN-0001"), facts(run()),
        "LOT_CODE_INVALID", "lot code 'RAW-20260132-MAIN-0001': expected RAW-YYYYMMDD-SITE-####", {},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "known", "code", "message", "told"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_what_was_wrong(
    asked: Command, known: Facts, code: str, message: str, told: dict[str, Any]
) -> None:
    with pytest.raises(Rejected) as refusal:
        handle(asked, known)
    assert (refusal.value.code, refusal.value.message, refusal.value.facts) == (code, message, told)


@pytest.mark.parametrize("day", ["20260110", "20260131", "20240229"])
def test_a_code_of_any_day_of_the_calendar_is_taken(day: str) -> None:
    code = f"RAW-{day}-MAIN-0001"
    assert applied(command("register_lot", lot_code=code), facts(run())).lots[0].lot_code == code


@pytest.mark.parametrize("many", [2, 20, 21])
def test_no_more_than_twenty_lots_are_named_and_those_without_a_code_by_their_ids(many: int) -> None:
    ids = sorted(uuid4() for _ in range(many))
    ahead = [lot("QUARANTINE", "DEB", 2, id=id_, lot_code=None) for id_ in ids]
    with pytest.raises(Rejected, match=f"{many} live lots") as refusal:
        handle(command("rollback_step", to_step_index=1), facts(run(step=2), *ahead))
    assert refusal.value.facts == {"lots": [str(id_) for id_ in ids[:20]]}


WAITING: dict[str, tuple[Command, Facts, str, dict[str, Any], UUID]] = {
    "no lot": (command("finish_lot"), facts(), f"lot {LOT} does not exist yet", {"lot_id": str(LOT)}, LOT),
    "a step ahead": (
        command("register_lot", step_index=2, lot_type="DEB"), facts(run(step=1)),
        f"run {RUN} is at step 1 and has to reach step 2 first", {"run_id": str(RUN), "current_step_index": 2}, RUN,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "known", "message", "waits_for", "blocked_on"), WAITING.values(), ids=WAITING)
def test_a_wait_says_for_what(
    asked: Command, known: Facts, message: str, waits_for: dict[str, Any], blocked_on: UUID
) -> None:
    with pytest.raises(NotYet) as wait:
        handle(asked, known)
    assert (wait.value.message, wait.value.waiting_for, wait.value.blocked_on) == (message, waits_for, (blocked_on,))


@pytest.mark.parametrize(("run_code", "site"), [("RUN-20260201-BUDA-0001", "BUDA"), (None, "DEBR")])
def test_a_lot_is_at_the_site_of_its_run(run_code: str | None, site: str) -> None:
    known = facts(run(run_code=run_code), site="DEBR")
    assert applied(command("register_lot"), known).lots[0].new_at_site == site
