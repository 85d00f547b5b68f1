"""The proof of lots: silent on what went as planned, loud on whatever is otherwise."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from tests.days import SMALL, day, state_of

from runworker.simulation.database_state import DatabaseState, LotRow
from runworker.simulation.lot_proof import LOT_CHECKS
from runworker.simulation.mass_balance import balance
from runworker.simulation.proof import Expectation, prove
from runworker.simulation.scenario import BuiltScenario
from runworker.states import LotType

LOTS, LINKS, PURITY, BALANCE, DECISIONS, TRAILS, RECALL = LOT_CHECKS
SHIPPED = "SHIP"


@cache
def went() -> tuple[BuiltScenario, DatabaseState]:
    whole = day(size=SMALL)
    return whole, state_of(whole)


def violations(state: DatabaseState) -> dict[str, tuple[str, ...]]:
    checks = prove(LOT_CHECKS, Expectation(went()[0], copies={}), state)
    return {check.claim: check.violations for check in checks if check.violations}


def lot_of(lot_type: LotType) -> LotRow:
    return next(lot for lot in went()[1].lots if lot.lot_type == lot_type)


def other_lot(lot_type: LotType, **changes: Any) -> DatabaseState:
    """One lot of this type is otherwise."""
    _, state = went()
    lot = lot_of(lot_type)
    return replace(state, lots=tuple(replace(each, **changes) if each is lot else each for each in state.lots))


def without_first(name: str) -> DatabaseState:
    """The first row of a kind is gone."""
    _, state = went()
    return replace(state, **{name: getattr(state, name)[1:]})


def first(name: str, **changes: Any) -> DatabaseState:
    """The first row of a kind is otherwise."""
    _, state = went()
    one, *rest = getattr(state, name)
    return replace(state, **{name: (replace(one, **changes), *rest)})


def link_of(lot_type: LotType, **changes: Any) -> DatabaseState:
    """The first link into a lot of this type is otherwise."""
    _, state = went()
    link = next(each for each in state.links if went()[0].lots[each.child_lot_id].lot_type is lot_type)
    return replace(state, links=tuple(replace(each, **changes) if each is link else each for each in state.links))


def event_of(entity: str, **changes: Any) -> DatabaseState:
    _, state = went()
    event = next(each for each in state.events if each.entity == entity)
    events = tuple(replace(each, **changes) if each is event else each for each in state.events)
    return replace(state, events=events)


def other_verdict(name: str, said: object) -> DatabaseState:
    """The first verdict that says this says something else."""
    _, state = went()
    row = next(row for row in state.ledger if name in row.verdict)
    changed = replace(row, verdict={name: said})
    return replace(state, ledger=tuple(changed if each is row else each for each in state.ledger))


def circle() -> DatabaseState:
    """A lot is made of what is made of it."""
    _, state = went()
    link = state.links[0]
    back = replace(link, parent_lot_id=link.child_lot_id, child_lot_id=link.parent_lot_id)
    return replace(state, links=(*state.links, back))


def recall(**changes: Any) -> DatabaseState:
    _, state = went()
    assert state.recalled is not None
    return replace(state, recalled=replace(state.recalled, **changes))


def stranger() -> UUID:
    """A lot that has nothing of the recalled one."""
    return next(lot_id for lot_id in went()[0].lots if lot_id not in went()[0].containing)


def mixed() -> DatabaseState:
    """A lot of 15 has some of 30 in it, whatever its columns say."""
    return link_of(LotType.FRZ15, parent_lot_id=lot_of(LotType.SKW30).id)


DOCTORED: dict[str, tuple[Callable[[], DatabaseState], dict[str, str]]] = {
    "a lot is gone": (
        lambda: without_first("lots"),
        {LOTS: "is there 0 times; it had to be once", BALANCE: "mass balance is off by"},
    ),
    "a lot is not where it has to be": (
        lambda: other_lot(LotType.BULK, status="RELEASED"),
        {LOTS: "status is RELEASED and not"},
    ),
    "a lot weighs more": (
        lambda: other_lot(LotType.RAW, weight_kg=lot_of(LotType.RAW).weight_kg + Decimal("0.01")),  # type: ignore[operator]
        {LOTS: "weight_kg is", BALANCE: "mass balance is off by -0.01 kg"},
    ),
    "a lot weighs less than what was taken of it": (
        lambda: other_lot(LotType.RAW, weight_kg=Decimal(1)),
        {LOTS: "weight_kg is 1 and not", BALANCE: "were taken from lot"},
    ),
    "a lot has no weight": (
        lambda: other_lot(LotType.RAW, weight_kg=None),
        {LOTS: "weight_kg is None and not", BALANCE: "which weighs None kg"},
    ),
    "a lot has another supplier": (lambda: other_lot(LotType.RAW, supplier_id=None), {LOTS: "supplier_id is None"}),
    "a lot that nobody registered": (
        lambda: replace(went()[1], lots=(*went()[1].lots, replace(lot_of(LotType.RAW), id=UUID(int=9)))),
        {LOTS: "is there and nobody asked for it", BALANCE: "mass balance is off by"},
    ),
    "two lots share a code": (
        lambda: other_lot(LotType.MIX, lot_code=lot_of(LotType.RAW).lot_code),
        {LOTS: "2 lots share the code"},
    ),
    "a lot is told to be of another SKU": (
        lambda: other_lot(LotType.PAL, sku_type="45"),
        {LOTS: "sku_type is 45 and not", PURITY: "says that it is of SKU 45"},
    ),
    "15 and 30 are mixed": (
        mixed,
        {LINKS: "uncalled for", PURITY: "(FRZ15) is made of 15 and 30", BALANCE: "were taken from lot"},
    ),
    "a link is missing": (
        lambda: without_first("links"),
        {LINKS: "and did not", BALANCE: "mass balance is off by"},
    ),
    "more went along a link": (
        lambda: link_of(LotType.MIX, quantity_used_kg=Decimal("0.01")),
        {LINKS: "0.01 kg went from lot", BALANCE: "mass balance is off by"},
    ),
    "a lot descends from itself": (circle, {LINKS: "lots descend from themselves", BALANCE: "were taken from lot"}),
    "another gain was reported": (
        lambda: other_verdict("gained_kg", "3.00"),
        {BALANCE: "was reported to gain 3.00 kg; it had to be"},
    ),
    "a decision is missing": (lambda: without_first("decisions"), {DECISIONS: "is there 0 times; it had to be once"}),
    "a decision was another": (
        lambda: first("decisions", decision="FAIL"),
        {DECISIONS: "decision is FAIL and not PASS"},
    ),
    "somebody else decided": (lambda: first("decisions", operator_id=None), {DECISIONS: "operator_id is None and not"}),
    "a decision that nobody asked for": (
        lambda: replace(went()[1], decisions=(*went()[1].decisions, replace(went()[1].decisions[0], id=UUID(int=9)))),
        {
            DECISIONS: "is there and nobody asked for it",
            TRAILS: "qc_decisions 00000000-0000-0000-0000-000000000009 has 0",
        },
    ),
    "a limit was overlooked": (
        lambda: other_verdict("ccp_violation", None),
        {DECISIONS: "is told to break a limit: None; it had to be"},
    ),
    "a move left no event": (lambda: without_first("events"), {TRAILS: "became ['RELEASED'"}),
    "a move was another command's": (
        lambda: event_of("lots", command_key=UUID(int=9)),
        {TRAILS: "became QUARANTINE by command 00000000-0000-0000-0000-000000000009"},
    ),
    "a move was made by hand": (lambda: event_of("lots", command_key=None), {TRAILS: "by command None"}),
    "a version moved otherwise": (lambda: event_of("flow_versions", status="DRAFT"), {TRAILS: "flow version"}),
    "a link left two events": (
        lambda: replace(
            went()[1],
            events=(*went()[1].events, next(each for each in went()[1].events if each.entity == "lot_genealogy")),
        ),
        {TRAILS: "has 2 audit events; it had to have one"},
    ),
    "a recall finds nothing": (lambda: replace(went()[1], recalled=None), {RECALL: "finds nothing"}),
    "a recall misses a lot": (
        lambda: recall(containing=went()[1].recalled.containing - {went()[0].recalled}),  # type: ignore[union-attr]
        {RECALL: "a recall misses lot"},
    ),
    "a recall finds too much": (
        lambda: recall(containing=went()[1].recalled.containing | {stranger()}),  # type: ignore[union-attr]
        {RECALL: "which has nothing of the recalled one"},
    ),
    "a recall misses a shipment": (lambda: recall(shipments=frozenset()), {RECALL: "a recall finds the shipments"}),
}


def test_nothing_speaks_against_a_day_that_went_as_planned() -> None:
    whole, state = went()
    assert violations(state) == {}
    kilograms = balance(whole, state)
    assert kilograms.error_kg == 0
    assert kilograms.written_off_kg == Decimal("1.20")
    assert kilograms.left_kg > 200
    assert kilograms.rejected_kg > 184
    assert kilograms.shipped_kg < kilograms.received_kg + kilograms.gained_kg - kilograms.lost_kg


@pytest.mark.parametrize("name", DOCTORED)
def test_what_is_otherwise_is_told(name: str) -> None:
    doctor, falls = DOCTORED[name]
    fallen = violations(doctor())
    assert fallen.keys() == falls.keys()
    for sentence, words in falls.items():
        assert any(words in violation for violation in fallen[sentence]), fallen[sentence]


def test_every_claim_can_fall() -> None:
    assert {sentence for _, falls in DOCTORED.values() for sentence in falls} == set(LOT_CHECKS)
