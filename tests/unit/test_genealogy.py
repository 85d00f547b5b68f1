"""What may be made of what, and how much of it: every rule between parents and child."""

from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.unit.lots import CHILD, LOT, OTHER_RUN, RUN, applied, command, facts, lot, parents, run, said

from runworker.codes import Code
from runworker.commands import Command
from runworker.errors import InvalidMessage
from runworker.handlers.facts import LotFact, Outcome, RunFact
from runworker.states import LotStatus, RunStatus

ONE, OTHER = uuid4(), uuid4()
STEP_OF = {
    "RAW": 1, "DEB": 2, "BULK": 3, "MIX": 4, "SKW15": 5, "SKW30": 5, "FRZ15": 7, "FRZ30": 7, "FG15": 8, "FG30": 8,
    "PAL": 9, "SHIP": 10,
}  # fmt: skip


def make(lot_type: str, *wanted: tuple[UUID, str], **fields: Any) -> Command:
    """Register the lot CHILD, made of these."""
    made_of = {"lot_id": CHILD, "lot_type": lot_type, "step_index": STEP_OF[lot_type], "parents": parents(*wanted)}
    return command("register_lot", **(made_of | fields))


def boned(known: list[LotFact], *wanted: tuple[UUID, str]) -> str:
    return said(make("DEB", *wanted), facts(run(step=2), *known))


def test_a_parent_that_is_missing_is_waited_for() -> None:
    assert boned([lot(id=ONE)], (ONE, "1"), (OTHER, "1")) == "waits: lot_id"
    assert boned([lot(id=ONE), lot(id=OTHER)], (ONE, "1"), (OTHER, "1")) == "QUARANTINE"
    assert said(command("consume_lot"), facts(run(), lot())) == "waits: lot_id"
    assert said(command("consume_lot"), facts(run(), lot(id=CHILD))) == "waits: lot_id"


def test_a_raw_lot_has_no_parents_and_every_other_has() -> None:
    assert said(make("RAW", (ONE, "1")), facts(run(), lot(id=ONE))) == Code.RAW_LOT_HAS_PARENTS
    for lot_type, step in STEP_OF.items():
        if lot_type != "RAW":
            assert said(make(lot_type), facts(run(step=step))) == Code.PARENTS_REQUIRED


def test_a_raw_lot_takes_nothing_later_either() -> None:
    known = facts(run(), lot(step=None, lot_type=None), lot("QUARANTINE", id=CHILD))
    assert said(command("consume_lot"), known) == Code.RAW_LOT_HAS_PARENTS


def test_a_parent_stands_once_in_the_list() -> None:
    assert boned([lot(id=ONE)], (ONE, "1"), (ONE, "2")) == Code.PARENT_REPEATED


def test_a_lot_is_not_its_own_parent() -> None:
    assert boned([lot(id=ONE)], (ONE, "1"), (CHILD, "1")) == Code.LOT_OWN_PARENT
    assert said(command("consume_lot", into_lot_id=LOT), facts(run(), lot())) == Code.LOT_OWN_PARENT


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [(1, 2, "RELEASED"), (0, 2, "RELEASED"), (2, 2, "PARENT_NOT_EARLIER"), (3, 2, "PARENT_NOT_EARLIER"),
     (None, 2, "RELEASED"), (1, None, "RELEASED")],
)  # fmt: skip
def test_a_parent_is_of_an_earlier_step(parent: int | None, child: int | None, expected: str) -> None:
    """Legacy lots of no known step take part; the database keeps them from going round in circles."""
    known = facts(run(), lot(step=parent), lot("QUARANTINE", "DEB", child, id=CHILD))
    assert said(command("consume_lot"), known) == expected


@pytest.mark.parametrize("step", [2, 3])
def test_a_registration_asks_the_same(step: int) -> None:
    assert boned([lot(id=ONE, step=step)], (ONE, "1")) == Code.PARENT_NOT_EARLIER


@pytest.mark.parametrize("state", LotStatus)
def test_a_parent_is_released(state: LotStatus) -> None:
    expected = "QUARANTINE" if state is LotStatus.RELEASED else Code.PARENT_NOT_RELEASED
    assert boned([lot(id=ONE), lot(state, id=OTHER)], (ONE, "1"), (OTHER, "1")) == expected


@pytest.mark.parametrize("state", LotStatus)
def test_a_child_that_is_closed_takes_no_more(state: LotStatus) -> None:
    closed = state in (LotStatus.REJECTED, LotStatus.CONSUMED, LotStatus.FINISHED)
    known = facts(run(), lot(), lot(state, "DEB", 2, id=CHILD))
    assert said(command("consume_lot"), known) == (Code.LOT_ILLEGAL_MOVE if closed else "RELEASED")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("RUN-20260131-MAIN-0009", "QUARANTINE"),
        ("RUN-20260131-BUDA-0009", "PARENT_OTHER_SITE"),
        ("OLD-9", "QUARANTINE"),  # a legacy code names no site
    ],
)
def test_a_parent_is_at_the_same_site(code: str, expected: str) -> None:
    home = run("COMPLETED", 10, id=OTHER_RUN, run_code=code)
    known = facts(run(step=2), home, lot(id=ONE, run_id=OTHER_RUN))
    assert said(make("DEB", (ONE, "1")), known) == expected


@pytest.mark.parametrize("status", RunStatus)
def test_a_parents_run_is_not_archived(status: RunStatus) -> None:
    home = run(status, 10, id=OTHER_RUN)
    expected = Code.PARENT_RUN_ARCHIVED if status is RunStatus.ARCHIVED else "QUARANTINE"
    assert said(make("DEB", (ONE, "1")), facts(run(step=2), home, lot(id=ONE, run_id=OTHER_RUN))) == expected
    consumed = facts(run(), home, lot(run_id=OTHER_RUN), lot("QUARANTINE", "DEB", 2, id=CHILD))
    assert (said(command("consume_lot"), consumed) == Code.PARENT_RUN_ARCHIVED) is (status is RunStatus.ARCHIVED)


def test_a_lot_of_no_run_is_a_parent_too() -> None:
    assert boned([lot(id=ONE, run_id=None, step=None, lot_type=None)], (ONE, "1")) == "QUARANTINE"


# SKU: type of the child, SKUs of its parents, and the child's SKU or a refusal.
SKUS = [
    ("DEB", (None,), None),
    ("MIX", (None, None), None),
    ("SKW15", (None,), "15"),
    ("SKW30", (None,), "30"),
    ("FRZ15", ("15",), "15"),
    ("FRZ15", ("15", "15"), "15"),
    ("FRZ15", ("30",), "SKU_MIXED"),
    ("FRZ15", ("15", "30"), "SKU_MIXED"),
    ("FRZ30", ("30",), "30"),
    ("FRZ30", ("15",), "SKU_MIXED"),
    ("FG15", ("15",), "15"),
    ("FG15", ("30",), "SKU_MIXED"),
    ("FG30", ("30", "15"), "SKU_MIXED"),
    ("PAL", ("15",), "15"),
    ("PAL", ("30", "30"), "30"),
    ("PAL", ("15", "30"), "SKU_MIXED"),
    ("PAL", (None, "30"), "30"),
    ("PAL", (None,), None),
    ("SHIP", ("15",), "15"),
    ("SHIP", ("30", "30"), "30"),
    ("SHIP", ("15", "30"), None),  # a truck carries both
    ("SHIP", (None,), None),
    ("SHIP", (None, "15"), None),  # not all of it is known to be 15
]


@pytest.mark.parametrize(("lot_type", "of", "expected"), SKUS)
def test_what_sku_a_child_has(lot_type: str, of: tuple[str | None, ...], expected: str | None) -> None:
    made_of = [lot(id=uuid4(), step=0, lot_type=None, sku_type=sku) for sku in of]
    asked = make(lot_type, *((parent.id, "1") for parent in made_of))
    known = facts(run(step=STEP_OF[lot_type]), *made_of)
    if expected == "SKU_MIXED":
        assert said(asked, known) == Code.SKU_MIXED
    else:
        assert applied(asked, known).lots[0].sku_type == expected


@pytest.mark.parametrize("written", [None, "30"])
def test_a_type_tells_the_sku_of_a_lot_that_another_system_wrote(written: str | None) -> None:
    parent = lot(id=ONE, lot_type="SKW30", step=5, sku_type=written)
    assert said(make("FRZ15", (ONE, "1")), facts(run(step=7), parent)) == Code.SKU_MIXED


@pytest.mark.parametrize(
    ("child", "sku", "parent", "expected"),
    [("PAL", "15", "15", "RELEASED"), ("PAL", "15", "30", "SKU_MIXED"), ("FRZ15", "15", "30", "SKU_MIXED"),
     ("SHIP", None, "15", "RELEASED"), ("SHIP", "15", "15", "RELEASED"), ("SHIP", "15", "30", "RELEASED")],
)  # fmt: skip
def test_what_is_added_later_keeps_the_sku(child: str, sku: str | None, parent: str, expected: str) -> None:
    into = lot("QUARANTINE", child, STEP_OF[child], id=CHILD, sku_type=sku)
    assert said(command("consume_lot"), facts(run(), lot(sku_type=parent), into)) == expected


@pytest.mark.parametrize("of", [of for count in (1, 2, 3) for of in product((None, "15", "30"), repeat=count)], ids=str)
@pytest.mark.parametrize("lot_type", ["PAL", "SHIP"])
def test_what_is_added_later_makes_the_same_of_a_lot_as_at_its_registration(
    lot_type: str, of: tuple[str | None, ...]
) -> None:
    made_of = [lot(id=uuid4(), step=0, lot_type=None, sku_type=sku) for sku in of]
    at_once = _made(lot_type, run(step=STEP_OF[lot_type]), made_of)
    one_by_one = _made(lot_type, run(step=STEP_OF[lot_type]), made_of[:1])
    for parent in made_of[1:]:
        if one_by_one is not None:
            one_by_one = _filled(one_by_one, parent)
    assert (one_by_one and one_by_one.sku_type) == (at_once and at_once.sku_type)
    assert (one_by_one is None) is (at_once is None)
    assert (at_once is None) is (lot_type == "PAL" and {"15", "30"} <= set(of))


def _made(lot_type: str, home: RunFact, made_of: list[LotFact]) -> LotFact | None:
    asked = make(lot_type, *((parent.id, "1") for parent in made_of))
    known = facts(home, *made_of)
    return None if said(asked, known) == Code.SKU_MIXED else applied(asked, known).lots[0]


def _filled(into: LotFact, parent: LotFact) -> LotFact | None:
    asked = command("consume_lot", lot_id=parent.id, into_lot_id=CHILD, quantity_used_kg="1")
    known = facts(run(), parent, into)
    return None if said(asked, known) == Code.SKU_MIXED else {into.id: into, **by_id(applied(asked, known))}[into.id]


def by_id(outcome: Outcome) -> dict[UUID, LotFact]:
    return {each.id: each for each in outcome.lots}


@pytest.mark.parametrize("status", RunStatus)
def test_a_lot_of_a_finished_run_takes_nothing_more(status: RunStatus) -> None:
    known = facts(run(status, 2), lot(run_id=None), lot("QUARANTINE", "DEB", 2, id=CHILD))
    finished = status in (RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.ARCHIVED)
    assert said(command("consume_lot"), known) == (Code.RUN_READ_ONLY if finished else "RELEASED")


# Quantities: what is in the lot, what is taken, final or not, and what becomes of the lot.
QUANTITIES = [
    ("100", "0", "99.99", False, "RELEASED"),
    ("100", "0", "100", False, "CONSUMED"),
    ("100", "0", "100.00", False, "CONSUMED"),
    ("100", "0", "100.01", False, "QUANTITY_EXCEEDS_LEFT"),
    ("100", "0", "100.01", True, "QUANTITY_EXCEEDS_LEFT"),
    ("100", "0", "0.01", True, "CONSUMED"),
    ("100", "99.99", "0.01", False, "CONSUMED"),
    ("100", "99.99", "0.02", False, "QUANTITY_EXCEEDS_LEFT"),
    ("0.3", "0.1", "0.2", False, "CONSUMED"),  # 0.1 + 0.2 is 0.3, which floats do not know
    ("0.3", "0.2", "0.1", False, "CONSUMED"),
    ("99999999.99", "0.01", "99999999.98", False, "CONSUMED"),
    (None, "0", "0.01", False, "QUANTITY_EXCEEDS_LEFT"),  # a legacy lot that was never weighed
]


@pytest.mark.parametrize(("weight", "taken", "quantity", "final", "expected"), QUANTITIES)
def test_never_more_than_is_left(weight: str | None, taken: str, quantity: str, final: bool, expected: str) -> None:
    parent = lot(weight_kg=Decimal(weight) if weight else None, taken_kg=Decimal(taken))
    known = facts(run(), parent, lot("QUARANTINE", "DEB", 2, id=CHILD))
    assert said(command("consume_lot", quantity_used_kg=quantity, final=final), known) == expected


@pytest.mark.parametrize(
    ("weight", "taken", "quantity", "expected"),
    [(weight, taken, quantity, expected) for weight, taken, quantity, final, expected in QUANTITIES if not final],
)
def test_a_registration_takes_as_consume_lot_would(
    weight: str | None, taken: str, quantity: str, expected: str
) -> None:
    parent = lot(id=ONE, weight_kg=Decimal(weight) if weight else None, taken_kg=Decimal(taken))
    known = facts(run(step=2), parent)
    asked = make("DEB", (ONE, quantity))
    if expected == "QUANTITY_EXCEEDS_LEFT":
        assert said(asked, known) == expected
    else:
        assert applied(asked, known).lots[1].status == expected


def test_what_is_taken_is_written_down() -> None:
    known = facts(run(step=2), lot(id=ONE), lot(id=OTHER, weight_kg=Decimal(50)))
    outcome = applied(make("DEB", (ONE, "60.5"), (OTHER, "50"), weight_kg="90.25"), known)
    child, one, other = outcome.lots
    assert (child.weight_kg, child.taken_kg) == (Decimal("90.25"), 0)
    assert (one.status, one.left_kg, one.children) == ("RELEASED", Decimal("39.5"), {CHILD})
    assert (other.status, other.left_kg, other.children) == ("CONSUMED", 0, {CHILD})
    assert [(link.parent_id, link.child_id, link.quantity_used_kg) for link in outcome.links] == [
        (ONE, CHILD, Decimal("60.5")),
        (OTHER, CHILD, Decimal(50)),
    ]
    assert dict(outcome.state) == {"gained_kg": "-20.25"}


def test_weight_may_be_gained() -> None:
    outcome = applied(make("DEB", (ONE, "100"), weight_kg="112"), facts(run(step=2), lot(id=ONE)))
    assert dict(outcome.state) == {"gained_kg": "12"}


def test_the_rest_of_a_lot_that_is_used_up_for_good_is_lost() -> None:
    known = facts(run(), lot(), lot("QUARANTINE", "DEB", 2, id=CHILD))
    outcome = applied(command("consume_lot", final=True), known)
    assert [(each.id, each.status, each.left_kg) for each in outcome.lots] == [(LOT, "CONSUMED", 60)]
    assert outcome.run is None


@pytest.mark.parametrize(
    "kg", ["0", "-1", "NaN", "Infinity", "1e400", "0.001", "1.123456789", "100000000", "much", None, True, [], {}]
)
@pytest.mark.parametrize(
    ("name", "field"), [("register_lot", "weight_kg"), ("consume_lot", "quantity_used_kg"), ("register_lot", "parents")]
)
def test_weights_are_numbers_above_zero(name: str, field: str, kg: Any) -> None:
    given = [{"lot_id": ONE, "quantity_used_kg": kg}] if field == "parents" else kg
    with pytest.raises(InvalidMessage, match=field) as error:
        command(name, **{field: given})
    assert error.value.code is Code.INVALID_FIELD


def test_a_run_that_is_not_the_lots_own_is_not_asked_for() -> None:
    known = facts(run(id=RUN), lot(run_id=None), lot("QUARANTINE", "DEB", 2, id=CHILD, run_id=None))
    assert said(command("consume_lot"), known) == "RELEASED"
