"""Holds what the database says of lots, decisions and flow versions against the scenario. Pure, as `proof` is."""

from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final
from uuid import UUID

from runworker.models import FlowVersion, Lot, LotGenealogy, QCDecision
from runworker.simulation.database_state import DatabaseState, EventRow
from runworker.simulation.mass_balance import unbalanced
from runworker.simulation.proof import Expectation, Finder, by, differences
from runworker.states import SKU_INHERITING_LOT_TYPES, LotType

LOTS: Final = Lot.__tablename__
VERSIONS: Final = FlowVersion.__tablename__


def _lots(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    planned = {
        lot.id: {
            "lot_type": lot.lot_type,
            "status": lot.status,
            "production_run_id": lot.run_id,
            "step_index": lot.step_index,
            "weight_kg": lot.weight_kg,
            "sku_type": lot.sku_type,
            "supplier_id": lot.supplier_id,
            "temperature_c": lot.temperature_c,
        }
        for lot in wanted.scenario.lots.values()
    }
    yield from differences("lot", planned, state.lots)
    for code, times in Counter(row.lot_code for row in state.lots).items():
        if times > 1:
            yield f"{times} lots share the code {code!a}"


def _links(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    planned = wanted.scenario.links
    found = Counter((link.parent_lot_id, link.child_lot_id, link.quantity_used_kg) for link in state.links)
    for parent, child, kg in (planned - found).elements():
        yield f"{kg} kg had to go from lot {parent} into lot {child} and did not"
    for parent, child, kg in (found - planned).elements():
        yield f"{kg} kg went from lot {parent} into lot {child}, uncalled for"
    try:
        TopologicalSorter(_parents(state)).prepare()
    except CycleError as error:
        yield f"lots descend from themselves: {' from '.join(map(str, error.args[1]))}"


def _purity(_wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    """Walks from parents to children; what a lot is of is told by the types of all lots in it, not by its column."""
    parents, lots = _parents(state), {row.id: row for row in state.lots}
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
        if lot and lot.sku_type != (one if own or lot_type in SKU_INHERITING_LOT_TYPES else None):
            yield f"lot {lot_id} ({lot_type}) says that it is of SKU {lot.sku_type}; it had to be {one}"


def _decisions(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    planned = {
        key: {
            "lot_id": each.lot_id,
            "decision": each.decision,
            "operator_id": each.operator_id,
            "notes": each.notes,
            "temperature_c": each.temperature_c,
        }
        for key, each in wanted.scenario.decisions.items()
    }
    yield from differences("decision", planned, state.decisions)
    for key, each in wanted.scenario.decisions.items():
        if (said := state.verdicts.get(key, {}).get("ccp_violation")) is not each.too_warm:
            yield f"decision {key} is told to break a limit: {said}; it had to be {each.too_warm}"


def _trails(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    events = by(state.events, lambda event: (event.entity, event.entity_id))
    for lot in wanted.scenario.lots.values():
        yield from _trail(f"lot {lot.id}", events[LOTS, lot.id], [(str(status), keys) for status, keys in lot.trail])
    for version_id, trail in wanted.scenario.version_trails.items():
        moved = [event for event in events[VERSIONS, version_id] if event.command_key is not None]
        planned = [(str(status), frozenset([key])) for status, key in trail]
        yield from _trail(f"flow version {version_id}", moved, planned)
    for table, rows in ((LotGenealogy, state.links), (QCDecision, state.decisions)):
        for row in rows:
            if (times := len(events[table.__tablename__, row.id])) != 1:
                yield f"{table.__tablename__} {row.id} has {times} audit events; it had to have one"


def _trail(what: str, events: list[EventRow], planned: list[tuple[str, frozenset[UUID]]]) -> Iterator[str]:
    became = [event.status for event in events]
    if became != [status for status, _ in planned]:
        yield f"{what} became {became}; it had to become {[status for status, _ in planned]}"
        return
    for event, (status, keys) in zip(events, planned, strict=True):
        if event.command_key not in keys:
            yield f"{what} became {status} by command {event.command_key}; it had to be {' or '.join(map(str, keys))}"


def _recall(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    scenario = wanted.scenario
    if state.recalled is None:
        yield f"a recall of lot {scenario.recalled} finds nothing"
        return
    found, planned = state.recalled.containing, scenario.containing
    yield from (f"a recall misses lot {lot_id}" for lot_id in planned - found)
    yield from (f"a recall finds lot {lot_id}, which has nothing of the recalled one" for lot_id in found - planned)
    shipped = {lot_id for lot_id in planned if scenario.lots[lot_id].lot_type is LotType.SHIP}
    if state.recalled.shipments != shipped:
        yield f"a recall finds the shipments {set(state.recalled.shipments)}; it had to find {shipped}"


def _parents(state: DatabaseState) -> Mapping[UUID, list[UUID]]:
    parents: dict[UUID, list[UUID]] = {row.id: [] for row in state.lots}
    for link in state.links:
        parents.setdefault(link.child_lot_id, []).append(link.parent_lot_id)
    return parents


LOT_CHECKS: Final[Mapping[str, Finder[Expectation]]] = {
    "Every lot is there, as it was registered and where it has to be": _lots,
    "Lots are made of what they had to be, none of itself": _links,
    "No lot mixes 15 and 30 but shipments": _purity,
    "Every kilogram is accounted for": unbalanced,
    "Quality control decided what it had to, once": _decisions,
    "Every move of a lot and a flow version left one audit event": _trails,
    "A recall finds the lots that contain the recalled one, and no others": _recall,
}
