"""The day's kilograms, added up from rows and from the script alone; nothing of this is asked of the engine.

    received + gained = shipped + rejected + left + written off + lost

Received, gained and lost are what the script says: delivery notes and the plant's yields. What was shipped, rejected,
is left and was written off are what rows say: the weight of each lot less what its links took from it. So a weight or
a quantity that is not as scripted shows in the difference, whichever lot it is of.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from runworker.demo.day.book import CLOSED, Day
from runworker.demo.day.evidence import DayEvidence, LinkRow
from runworker.states import LotStatus, LotType

ZERO = Decimal("0.00")
USED_UP = frozenset({LotStatus.CONSUMED, LotStatus.FINISHED})


@dataclass(frozen=True, slots=True)
class DayBalance:
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
        """What the balance is off by; exactly zero where every kilogram is where the script has it."""
        out = self.shipped_kg + self.rejected_kg + self.left_kg + self.written_off_kg + self.lost_kg
        return self.received_kg + self.gained_kg - out


def balance(day: Day, evidence: DayEvidence) -> DayBalance:
    """Add up the day."""
    rests: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    taken = taken_from(evidence.links)
    for lot in evidence.lots:
        rests[_whereabouts(lot.lot_type, lot.status)] += (lot.weight_kg or ZERO) - taken[lot.id]
    # What went out of a lot that is not there came from nowhere.
    rests["left"] -= _total(taken[lot_id] for lot_id in taken.keys() - {lot.id for lot in evidence.lots})
    changes = [lot.change_kg for lot in day.lots.values()]
    return DayBalance(
        received_kg=_total(lot.weight_kg for lot in day.lots.values() if lot.lot_type is LotType.RAW),
        gained_kg=_total(change for change in changes if change > 0),
        shipped_kg=rests["shipped"],
        rejected_kg=rests["rejected"],
        left_kg=rests["left"],
        written_off_kg=rests["written off"],
        lost_kg=_total(-change for change in changes if change < 0),
    )


def taken_from(links: Iterable[LinkRow]) -> Mapping[UUID, Decimal]:
    """What went out of each lot, in kilograms."""
    taken: defaultdict[UUID, Decimal] = defaultdict(lambda: ZERO)
    for link in links:
        taken[link.parent_id] += link.kg
    return taken


def unbalanced(day: Day, evidence: DayEvidence) -> Iterator[str]:
    """All that does not add up: of the day, of any lot, and of what was reported when lots were registered."""
    if error := balance(day, evidence).error_kg:
        yield f"the day's mass balance is off by {error} kg"
    taken = taken_from(evidence.links)
    for lot in evidence.lots:
        if taken[lot.id] > (lot.weight_kg or ZERO):
            yield f"{taken[lot.id]} kg were taken from lot {lot.id}, which weighs {lot.weight_kg} kg"
    for scripted in day.lots.values():
        [key] = scripted.trail[0][1]
        reported = evidence.verdicts.get(key, {}).get("gained_kg")
        if (None if reported is None else Decimal(reported)) != scripted.gained_kg:
            yield f"lot {scripted.id} was reported to gain {reported} kg; it had to be {scripted.gained_kg} kg"


def _whereabouts(lot_type: str | None, status: str) -> str:
    if status == LotStatus.REJECTED:
        return "rejected"
    if lot_type == LotType.SHIP and status in CLOSED:
        return "shipped"
    return "written off" if status in USED_UP else "left"


def _total(kilograms: Iterable[Decimal]) -> Decimal:
    return sum(kilograms, ZERO)
