"""Holds what the database says of a day's lots against its script. Pure: evidence in, violations out.

What runs and commands have to come to is held against the same checks as in the demo without lots.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final
from uuid import UUID

from runworker.demo.day.balance import unbalanced
from runworker.demo.day.book import Day, ScriptedLot
from runworker.demo.day.evidence import DayEvidence, DecisionRow, LotRow
from runworker.demo.evidence import EventRow
from runworker.demo.proof import Finder, by
from runworker.models import FlowVersion, Lot, LotGenealogy, QCDecision
from runworker.states import LotType

LOTS: Final = Lot.__tablename__
VERSIONS: Final = FlowVersion.__tablename__
INHERITING: Final = frozenset({LotType.PAL, LotType.SHIP})


def _lots(day: Day, evidence: DayEvidence) -> Iterator[str]:
    found = {lot.id: lot for lot in evidence.lots}
    for lot in day.lots.values():
        if (row := found.pop(lot.id, None)) is None:
            yield f"lot {lot.id} is not there; it had to become {lot.status}"
        elif difference := _difference(lot, row):
            yield f"lot {row.lot_code}: {difference}"
    for row in found.values():
        yield f"lot {row.lot_code} is there and nobody registered it"
    for code, times in Counter(lot.lot_code for lot in evidence.lots).items():
        if times > 1:
            yield f"{times} lots share the code {code!a}"


def _difference(lot: ScriptedLot, row: LotRow) -> str:
    """What a row says otherwise than the script; empty where it agrees."""
    wanted = {
        "lot_type": lot.lot_type,
        "status": lot.status,
        "run_id": lot.run_id,
        "step_index": lot.step_index,
        "weight_kg": lot.weight_kg,
        "sku_type": lot.sku_type,
        "supplier_id": lot.supplier_id,
        "temperature_c": lot.temperature_c,
    }
    return ", ".join(
        f"{name} is {getattr(row, name)} and not {value}"
        for name, value in wanted.items()
        if getattr(row, name) != value
    )


def _links(day: Day, evidence: DayEvidence) -> Iterator[str]:
    found = Counter((link.parent_id, link.child_id, link.kg) for link in evidence.links)
    for parent, child, kg in (day.links - found).elements():
        yield f"{kg} kg had to go from lot {parent} into lot {child} and did not"
    for parent, child, kg in (found - day.links).elements():
        yield f"{kg} kg went from lot {parent} into lot {child}, uncalled for"
    try:
        TopologicalSorter(_parents(evidence)).prepare()
    except CycleError as error:
        yield f"lots descend from themselves: {' from '.join(map(str, error.args[1]))}"


def _purity(_day: Day, evidence: DayEvidence) -> Iterator[str]:
    """Walks from parents to children; what a lot is of is told by the types of all lots in it, not by its column."""
    parents, lots = _parents(evidence), {lot.id: lot for lot in evidence.lots}
    skus: dict[UUID, set[str]] = {}
    try:
        order = list(TopologicalSorter(parents).static_order())
    except CycleError:
        return  # told with the links
    for lot_id in order:
        lot = lots.get(lot_id)
        inside = set().union(*(skus.get(parent, set()) for parent in parents.get(lot_id, ())))
        lot_type = lot.lot_type if lot and lot.lot_type else ""
        own = {lot_type[-2:]} if lot_type.endswith(("15", "30")) else set()
        skus[lot_id] = inside | own
        if (own or lot_type == LotType.PAL) and len(skus[lot_id]) != 1:
            yield f"lot {lot_id} ({lot_type}) is made of {' and '.join(sorted(skus[lot_id])) or 'no SKU'}"
        one = next(iter(skus[lot_id])) if len(skus[lot_id]) == 1 else None
        if lot and lot.sku_type != (one if own or lot_type in INHERITING else None):
            yield f"lot {lot_id} ({lot_type}) says that it is of SKU {lot.sku_type}; it had to be {one}"


def _decisions(day: Day, evidence: DayEvidence) -> Iterator[str]:
    found = {row.id: row for row in evidence.decisions}
    for key, each in day.decisions.items():
        wanted = DecisionRow(key, each.lot_id, each.decision, each.operator_id, each.notes, each.temperature_c)
        if (row := found.pop(key, None)) != wanted:
            yield f"a decision is {row}; it had to be {wanted}"
        said = evidence.verdicts.get(key, {}).get("ccp_violation")
        if said is not each.too_warm:
            yield f"decision {key} is told to break a limit: {said}; it had to be {each.too_warm}"
    for row in found.values():
        yield f"decision {row.id} on lot {row.lot_id} was asked for by nobody"


def _trails(day: Day, evidence: DayEvidence) -> Iterator[str]:
    events = by(evidence.events, lambda event: (event.entity, event.entity_id))
    for lot in day.lots.values():
        yield from _trail(f"lot {lot.id}", events[LOTS, lot.id], [(str(status), keys) for status, keys in lot.trail])
    for version_id, trail in day.version_trails.items():
        moved = [event for event in events[VERSIONS, version_id] if event.command_key is not None]
        wanted = [(str(status), frozenset([key])) for status, key in trail]
        yield from _trail(f"flow version {version_id}", moved, wanted)
    for table, rows in ((LotGenealogy, evidence.links), (QCDecision, evidence.decisions)):
        for row in rows:
            if (times := len(events[table.__tablename__, row.id])) != 1:
                yield f"{table.__tablename__} {row.id} has {times} audit events; it had to have one"


def _trail(what: str, events: list[EventRow], wanted: list[tuple[str, frozenset[UUID]]]) -> Iterator[str]:
    became = [event.status for event in events]
    if became != [status for status, _ in wanted]:
        yield f"{what} became {became}; it had to become {[status for status, _ in wanted]}"
        return
    for event, (status, keys) in zip(events, wanted, strict=True):
        if event.command_key not in keys:
            yield f"{what} became {status} by command {event.command_key}; it had to be {' or '.join(map(str, keys))}"


def _recall(day: Day, evidence: DayEvidence) -> Iterator[str]:
    if evidence.recalled is None:
        yield f"a recall of lot {day.recalled} finds nothing"
        return
    found, wanted = evidence.recalled.containing, day.containing
    yield from (f"a recall misses lot {lot_id}" for lot_id in wanted - found)
    yield from (f"a recall finds lot {lot_id}, which has nothing of the recalled one" for lot_id in found - wanted)
    shipped = {lot_id for lot_id in wanted if day.lots[lot_id].lot_type is LotType.SHIP}
    if evidence.recalled.shipments != shipped:
        yield f"a recall finds the shipments {set(evidence.recalled.shipments)}; it had to find {shipped}"


def _parents(evidence: DayEvidence) -> Mapping[UUID, list[UUID]]:
    parents: dict[UUID, list[UUID]] = {lot.id: [] for lot in evidence.lots}
    for link in evidence.links:
        parents.setdefault(link.child_id, []).append(link.parent_id)
    return parents


DAY_CHECKS: Final[Mapping[str, Finder[Day, DayEvidence]]] = {
    "Every lot is there, as it was registered and where it has to be": _lots,
    "Lots are made of what they had to be, none of itself": _links,
    "No lot mixes 15 and 30 but shipments": _purity,
    "Every kilogram is accounted for": unbalanced,
    "Quality control decided what it had to, once": _decisions,
    "Every move of a lot and a flow version left one audit event": _trails,
    "A recall finds the lots that contain the recalled one, and no others": _recall,
}
