"""Adds up a scenario's kilograms from rows and from the scenario alone; nothing of this is asked of the engine.

    received + gained = shipped + rejected + left + written off + lost

Received, gained and lost are what the scenario says: delivery notes and the plant's yields. What was shipped, rejected,
is left and was written off are what rows say: the weight of each lot less what its links took from it. So a weight or
a quantity that is not as planned shows in the difference, whichever lot it is of.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from runworker.simulation.database_state import DatabaseState, LinkRow
from runworker.simulation.proof import Expectation
from runworker.simulation.scenario import NOTHING, BuiltScenario
from runworker.states import FINAL_LOTS, USED_UP_LOTS, LotStatus, LotType


@dataclass(frozen=True, slots=True)
class ScenarioBalance:
    """All figures in kilograms."""

    received_kg: Decimal
    gained_kg: Decimal
    shipped_kg: Decimal
    rejected_kg: Decimal
    left_kg: Decimal
    written_off_kg: Decimal
    lost_kg: Decimal

    @property
    def error_kg(self) -> Decimal:
        """Kilograms that the balance is off by; exactly zero where every kilogram is where the scenario has it."""
        out = self.shipped_kg + self.rejected_kg + self.left_kg + self.written_off_kg + self.lost_kg
        return self.received_kg + self.gained_kg - out


def balance(scenario: BuiltScenario, state: DatabaseState) -> ScenarioBalance:
    """Add up all lots."""
    rests: defaultdict[str, Decimal] = defaultdict(lambda: NOTHING)
    taken = _taken_from(state.links)
    for row in state.lots:
        rests[_whereabouts(row.lot_type, row.status)] += (row.weight_kg or NOTHING) - taken[row.id]
    # What went out of a lot that is not there came from nowhere.
    rests["left"] -= _total(taken[lot_id] for lot_id in taken.keys() - {row.id for row in state.lots})
    changes = [lot.change_kg for lot in scenario.lots.values()]
    return ScenarioBalance(
        received_kg=_total(lot.weight_kg for lot in scenario.lots.values() if lot.lot_type is LotType.RAW),
        gained_kg=_total(change for change in changes if change > 0),
        shipped_kg=rests["shipped"],
        rejected_kg=rests["rejected"],
        left_kg=rests["left"],
        written_off_kg=rests["written off"],
        lost_kg=_total(-change for change in changes if change < 0),
    )


def unbalanced(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    """All that does not add up: of the whole, of any lot, and of what was reported when lots were registered."""
    if error := balance(wanted.scenario, state).error_kg:
        yield f"the mass balance is off by {error} kg"
    taken = _taken_from(state.links)
    for row in state.lots:
        if taken[row.id] > (row.weight_kg or NOTHING):
            yield f"{taken[row.id]} kg were taken from lot {row.id}, which weighs {row.weight_kg} kg"
    for lot in wanted.scenario.lots.values():
        reported = state.verdicts.get(lot.registered_by, {}).get("gained_kg")
        if (None if reported is None else Decimal(reported)) != lot.gained_kg:
            yield f"lot {lot.id} was reported to gain {reported} kg; it had to be {lot.gained_kg} kg"


def _taken_from(links: Iterable[LinkRow]) -> Mapping[UUID, Decimal]:
    """Kilograms that went out of each lot."""
    taken: defaultdict[UUID, Decimal] = defaultdict(lambda: NOTHING)
    for link in links:
        taken[link.parent_lot_id] += link.quantity_used_kg
    return taken


def _whereabouts(lot_type: str | None, status: str) -> str:
    if status == LotStatus.REJECTED:
        return "rejected"
    if lot_type == LotType.SHIP and status in FINAL_LOTS:
        return "shipped"
    return "written off" if status in USED_UP_LOTS else "left"


def _total(kilograms: Iterable[Decimal]) -> Decimal:
    return sum(kilograms, NOTHING)
