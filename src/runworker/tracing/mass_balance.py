"""Mass balance: every kilogram that came in went out, was rejected, is left, or was lost on the way.

    in + gained = out + rejected + left + lost

Each side is added up on its own: the kilograms that came in by the weights of RAW lots, a lot's material by the links
to its parents, its rest by the links to its children. So the difference, `error_kg`, is not zero by construction: a lot
of which more was taken than it weighed, and a RAW lot with parents, show in it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from runworker.states import SHIPPABLE_LOTS, USED_UP_LOTS, LotStatus, LotType
from runworker.tracing.genealogy import TracedLink, TracedLot

_NOTHING: Final = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class StepBalance:
    """The balance of one step; all figures in kilograms. step_index: None for legacy lots without one.

    used_kg: taken from parents. made_kg: weight of the lots it made. gained_kg: by how much lots came out heavier than
    what they were made of. lost_kg: by how much lighter, and what was written off. Supplies of RAW lots are no gain.
    """

    step_index: int | None
    lots: int
    used_kg: Decimal
    made_kg: Decimal
    gained_kg: Decimal
    lost_kg: Decimal
    rejected_kg: Decimal
    left_kg: Decimal


@dataclass(frozen=True, slots=True)
class MassBalance:
    """All figures in kilograms.

    in_kg: RAW lots, and what came from lots outside of those looked at (from_elsewhere_kg of it). out_kg: SHIP lots
    that passed quality control, and what went to lots outside (to_elsewhere_kg of it). lost_kg: lighter children, and
    what was left of lots that were closed with a rest (written_off_kg of it). unweighed: codes of legacy lots without
    a weight, taken as 0 kg.
    """

    in_kg: Decimal
    from_elsewhere_kg: Decimal
    out_kg: Decimal
    to_elsewhere_kg: Decimal
    rejected_kg: Decimal
    left_kg: Decimal
    lost_kg: Decimal
    written_off_kg: Decimal
    gained_kg: Decimal
    left_on: tuple[tuple[str, Decimal], ...]
    steps: tuple[StepBalance, ...]
    unweighed: tuple[str, ...]

    @property
    def error_kg(self) -> Decimal:
        """The balance's error; exactly zero where no kilogram came from nowhere or went nowhere."""
        return self.in_kg - self.out_kg - self.rejected_kg - self.left_kg - self.lost_kg + self.gained_kg


@dataclass(frozen=True, slots=True)
class _Disposition:
    """Where one lot's kilograms came from, and where those are that no child took."""

    received: Decimal = _NOTHING
    gained: Decimal = _NOTHING
    lost: Decimal = _NOTHING
    shipped: Decimal = _NOTHING
    rejected: Decimal = _NOTHING
    left: Decimal = _NOTHING
    written_off: Decimal = _NOTHING


def mass_balance(lots: Collection[TracedLot], links: Iterable[TracedLink]) -> MassBalance:
    """The balance of some lots: of a run, or of a trace.

    links: those between two of the lots count as within; what any other link moved came from, or went, elsewhere.
    """
    inside = {lot.id for lot in lots}
    among = [link for link in links if link.parent_id in inside and link.child_id in inside]
    moved = sum((link.quantity_kg or _NOTHING for link in among), _NOTHING)
    from_elsewhere = _total(lot.used_kg for lot in lots) - moved
    to_elsewhere = _total(lot.taken_kg for lot in lots) - moved
    dispositions = {lot.id: _disposition(lot) for lot in lots}
    written_off = _total(each.written_off for each in dispositions.values())
    return MassBalance(
        in_kg=_total(each.received for each in dispositions.values()) + from_elsewhere,
        from_elsewhere_kg=from_elsewhere,
        out_kg=_total(each.shipped for each in dispositions.values()) + to_elsewhere,
        to_elsewhere_kg=to_elsewhere,
        rejected_kg=_total(each.rejected for each in dispositions.values()),
        left_kg=_total(each.left for each in dispositions.values()),
        lost_kg=_total(each.lost for each in dispositions.values()) + written_off,
        written_off_kg=written_off,
        gained_kg=_total(each.gained for each in dispositions.values()),
        left_on=tuple((lot.code, dispositions[lot.id].left) for lot in lots if dispositions[lot.id].left),
        steps=_steps(lots, dispositions),
        unweighed=tuple(lot.code for lot in lots if lot.weight_kg is None),
    )


def _disposition(lot: TracedLot) -> _Disposition:
    weight = lot.weight_kg or _NOTHING
    # Never below zero: what was taken beyond the weight came from nowhere, and has to show as an error.
    rest = max(lot.left_kg, _NOTHING)
    raw = lot.lot_type is LotType.RAW
    change = _NOTHING if raw else weight - lot.used_kg
    rejected = lot.status is LotStatus.REJECTED
    shipped = lot.lot_type is LotType.SHIP and lot.status in SHIPPABLE_LOTS
    written_off = lot.status in USED_UP_LOTS and not shipped
    return _Disposition(
        received=weight if raw else _NOTHING,
        gained=max(change, _NOTHING),
        lost=max(-change, _NOTHING),
        shipped=rest if shipped else _NOTHING,
        rejected=rest if rejected else _NOTHING,
        left=_NOTHING if shipped or rejected or written_off else rest,
        written_off=rest if written_off else _NOTHING,
    )


def _steps(lots: Iterable[TracedLot], dispositions: dict[UUID, _Disposition]) -> tuple[StepBalance, ...]:
    by_step: defaultdict[int | None, list[TracedLot]] = defaultdict(list)
    for lot in lots:
        by_step[lot.step_index].append(lot)
    return tuple(
        StepBalance(
            step_index=index,
            lots=len(made),
            used_kg=_total(lot.used_kg for lot in made),
            made_kg=_total(lot.weight_kg or _NOTHING for lot in made),
            gained_kg=_total(dispositions[lot.id].gained for lot in made),
            lost_kg=_total(dispositions[lot.id].lost + dispositions[lot.id].written_off for lot in made),
            rejected_kg=_total(dispositions[lot.id].rejected for lot in made),
            left_kg=_total(dispositions[lot.id].left for lot in made),
        )
        for index, made in sorted(by_step.items(), key=lambda item: -1 if item[0] is None else item[0])
    )


def _total(kilograms: Iterable[Decimal]) -> Decimal:
    return sum(kilograms, _NOTHING)
