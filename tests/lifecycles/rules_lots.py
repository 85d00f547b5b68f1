"""The rules of a lot, told once more: what may be made when, of what, and what becomes of it."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.lifecycles.world import Done, Early, Lot, Sunk, World, present, refuse_if, wait_until_at

MADE_AT = {1: "RAW", 2: "DEB", 3: "BULK", 4: "MIX", 5: "SKW15 SKW30", 7: "FRZ15 FRZ30", 8: "FG15 FG30", 9: "PAL",
           10: "SHIP"}  # fmt: skip
WARMEST = {1: Decimal("4.0"), 7: Decimal("-18.0"), 10: Decimal("-18.0")}
CLOSED = ("FINISHED", "REJECTED")


def _register(command: Any, world: World) -> Done:
    run, lot_id, lot_type = present(command.run_id, world), command.target_lot, str(command.lot_type)
    refuse_if(run.is_over, "RUN_NOT_RUNNING")
    refuse_if(command.step_index not in run.planned, "STEP_NOT_PLANNED")
    refuse_if(command.step_index < run.step, "STEP_ALREADY_PASSED")
    wait_until_at(run, command.step_index, command.run_id)
    refuse_if(run.status == "HOLD", "RUN_ON_HOLD")
    refuse_if(lot_id in world.lots, "LOT_ALREADY_EXISTS")
    refuse_if(lot_type in ("SKW", "FRZ", "FG"), "LOT_TYPE_LEGACY")
    refuse_if(lot_type not in MADE_AT.get(run.step, "").split(), "LOT_TYPE_NOT_ALLOWED")
    _check_code(command.lot_code, lot_type, run.site)
    refuse_if(command.supplier_id is not None and lot_type != "RAW", "SUPPLIER_NOT_ALLOWED")
    parents = [(parent.lot_id, parent.quantity_used_kg) for parent in command.parents]
    refuse_if(len(dict(parents)) < len(parents), "PARENT_REPEATED")
    refuse_if(lot_type == "RAW" and bool(parents), "RAW_LOT_HAS_PARENTS")
    refuse_if(lot_type != "RAW" and not parents, "PARENTS_REQUIRED")
    for parent_id, _ in parents:
        refuse_if(parent_id == lot_id, "LOT_OWN_PARENT")
        _present(parent_id, world)
    lot = Lot(command.weight_kg, lot_type, run.step, command.run_id, code=command.lot_code,
              warmth=command.temperature_c, left=command.weight_kg)  # fmt: skip
    lot.sku = _sku(lot, {world.lots[parent_id].sku for parent_id, _ in parents})
    for parent_id, kg in parents:
        _check_taking(world.lots[parent_id], lot, kg, world)
    if command.lot_code is not None and any(other.code == command.lot_code for other in world.lots.values()):
        raise Sunk("LOT_CODE_TAKEN")
    if command.supplier_id is not None:
        raise Sunk("UNKNOWN_SUPPLIER")  # there are none
    world.lots[lot_id] = lot
    lot.changed_by.append(command.idempotency_key)
    for parent_id, kg in parents:
        _take(parent_id, lot_id, kg, command, world)
    for parent_id, _ in parents:
        _look_around(parent_id, lot_id, world)
    return Done({lot_id, *dict(parents)}, _told(lot))


def _consume(command: Any, world: World) -> Done:
    child = _present(command.into_lot_id, world)
    refuse_if(command.lot_id == command.into_lot_id, "LOT_OWN_PARENT")
    parent = _present(command.lot_id, world)
    refuse_if(child.run is not None and world.runs[child.run].is_over, "RUN_READ_ONLY")
    refuse_if(child.status in (*CLOSED, "CONSUMED"), "LOT_ILLEGAL_MOVE")
    refuse_if(child.type == "RAW", "RAW_LOT_HAS_PARENTS")
    sku = _sku(child, {*child.holds, parent.sku})
    _check_taking(parent, child, command.quantity_used_kg, world)
    touched = {command.lot_id}
    if sku != child.sku:
        if child.type == "PAL" and _skus_within(command.into_lot_id, world) - {sku}:
            raise Sunk("LOT_FROZEN")
        child.sku = sku
        child.changed_by.append(command.idempotency_key)
        touched.add(command.into_lot_id)
    _take(command.lot_id, command.into_lot_id, command.quantity_used_kg, command, world, final=command.final)
    _look_around(command.lot_id, command.into_lot_id, world)
    return Done(touched, _told(parent))


def _decide(command: Any, world: World) -> Done:
    lot, key = _of_no_archived_run(command.lot_id, world), command.idempotency_key
    refuse_if(command.decision != "PASS" and len(command.notes or "") < 10, "NOTES_REQUIRED")
    warmth = command.temperature_c if command.temperature_c is not None else lot.warmth
    status = {"PASS": "RELEASED", "HOLD": "HOLD", "FAIL": "REJECTED"}[command.decision]
    if lot.step in WARMEST and warmth is not None and warmth > WARMEST[lot.step]:
        status = "HOLD"
    refuse_if(lot.status not in ("QUARANTINE", "RELEASED" if status == "HOLD" else None), "LOT_ILLEGAL_MOVE")
    lot.warmth = warmth
    lot.becomes(status, key)
    world.decisions[key] = (command.lot_id, str(command.decision), command.notes, warmth, command.issued_by)
    return Done({command.lot_id}, _told(lot))


def _resolve(command: Any, world: World) -> Done:
    return _from_hold(command, world, "RELEASED")


def _reject(command: Any, world: World) -> Done:
    return _from_hold(command, world, "REJECTED")


def _from_hold(command: Any, world: World, status: str) -> Done:
    lot = _of_no_archived_run(command.lot_id, world)
    refuse_if(lot.status != "HOLD", "LOT_ILLEGAL_MOVE")
    lot.becomes(status, command.idempotency_key)
    return Done({command.lot_id}, _told(lot))


def _finish(command: Any, world: World) -> Done:
    lot = _of_no_archived_run(command.lot_id, world)
    shipped = lot.type == "SHIP" and lot.status == "RELEASED"
    refuse_if(lot.status != "CONSUMED" and not shipped, "LOT_ILLEGAL_MOVE")
    refuse_if(not _can_finish(lot, world), "CHILDREN_NOT_FINISHED")
    lot.becomes("FINISHED", command.idempotency_key)
    return Done({command.lot_id}, _told(lot))


def finish_what_can_be(command: Any, world: World) -> list[UUID]:
    """What completion does to the run's lots, last ones first. Returns whom it finished."""
    lots = sorted(world.lots_of(command.run_id).items(), key=lambda item: item[1].step, reverse=True)
    finished = []
    for id_, lot in lots:
        if _can_finish(lot, world):
            lot.becomes("FINISHED", command.idempotency_key)
            finished.append(id_)
    return finished


def _can_finish(lot: Lot, world: World) -> bool:
    if lot.type == "SHIP" and lot.status == "RELEASED":
        return True
    return lot.status == "CONSUMED" and all(world.lots[child].status in CLOSED for child in lot.children)


def _present(lot_id: UUID, world: World) -> Lot:
    if lot_id not in world.lots:
        raise Early({"lot_id": str(lot_id)}, {lot_id})
    return world.lots[lot_id]


def _of_no_archived_run(lot_id: UUID, world: World) -> Lot:
    lot = _present(lot_id, world)
    refuse_if(lot.run is not None and world.runs[lot.run].status == "ARCHIVED", "RUN_READ_ONLY")
    return lot


def _check_code(code: str | None, lot_type: str, site: str) -> None:
    if code is not None:
        prefix = "MIXLOT" if lot_type == "MIX" else lot_type
        form = re.fullmatch(rf"{prefix}-20200101-([A-Z]{{4}})-[0-9]{{4,}}", code)
        refuse_if(form is None, "LOT_CODE_INVALID")
        refuse_if(form[1] != site, "LOT_CODE_OTHER_SITE")


def _sku(lot: Lot, skus: set[str | None]) -> str | None:
    """What the lot is of that holds material of all these."""
    if lot.type == "SHIP":
        return next(iter(skus)) if len(skus) == 1 else None
    of_type = lot.type[-2:] if lot.type and lot.type[-2:] in ("15", "30") else None
    if lot.type == "PAL" or of_type:
        refuse_if(len((skus | {of_type}) - {None}) > 1, "SKU_MIXED")
    return of_type or (next(iter(skus - {None}), None) if lot.type == "PAL" else None)


def _check_taking(parent: Lot, child: Lot, kg: Decimal, world: World) -> None:
    refuse_if(parent.status != "RELEASED", "PARENT_NOT_RELEASED")
    known = parent.step is not None and child.step is not None
    refuse_if(known and parent.step >= child.step, "PARENT_NOT_EARLIER")
    if parent.run is not None and child.run is not None:
        refuse_if(world.runs[parent.run].status == "ARCHIVED", "PARENT_RUN_ARCHIVED")
        refuse_if(world.runs[parent.run].site != world.runs[child.run].site, "PARENT_OTHER_SITE")
    refuse_if(kg > parent.left, "QUANTITY_EXCEEDS_LEFT")


def _take(parent_id: UUID, child_id: UUID, kg: Decimal, command: Any, world: World, *, final: bool = False) -> None:
    parent = world.lots[parent_id]
    world.links.append((parent_id, child_id, kg, command.idempotency_key))
    world.lots[child_id].holds.add(parent.sku)
    parent.left -= kg
    parent.children.add(child_id)
    if final or parent.left == 0:
        parent.becomes("CONSUMED", command.idempotency_key)


def _look_around(parent_id: UUID, child_id: UUID, world: World) -> None:
    """What nobody but the database knows of a link: what comes to the child through lots that tell nothing."""
    parent, child = world.lots[parent_id], world.lots[child_id]
    tells_both = parent.sku is not None and child.sku is not None
    if not tells_both and (child.sku is not None or child.type != "SHIP"):
        coming = _skus_within(parent_id, world)
        if coming and len(coming | _skus_met_by(child_id, world)) > 1:
            raise Sunk("SKU_MIXED")
    if parent.run is not None and parent.run != child.run and world.runs[parent.run].status == "ARCHIVED":
        raise Sunk("PARENT_RUN_ARCHIVED")
    if len(_sites_that_meet(parent_id, child_id, world)) > 1:
        raise Sunk("PARENT_OTHER_SITE")
    if parent_id in _reached({child_id}, lambda id_: world.lots[id_].children):
        raise Sunk("GENEALOGY_CYCLE")


def _skus_within(lot_id: UUID, world: World) -> set[str]:
    """The lot's SKU; of one that tells none, those of what it is made of."""
    lots = world.lots

    def is_open(id_: UUID) -> bool:
        return lots[id_].sku is None and lots[id_].type not in ("RAW", "DEB", "BULK", "MIX")

    above = _reached({lot_id}, lambda id_: _parents(id_, world) if is_open(id_) else ())
    return {sku for id_ in above if (sku := lots[id_].sku)}


def _skus_met_by(lot_id: UUID, world: World) -> set[str]:
    """SKUs in a lot and in what is made of it, as far as lots tell none; a shipment may hold both."""
    lots = world.lots

    def made(id_: UUID) -> set[UUID]:
        is_open = lots[id_].sku is None and lots[id_].type != "SHIP"
        return {child for child in lots[id_].children if lots[child].type != "SHIP"} if is_open else set()

    return {sku for id_ in _reached({lot_id}, made) for sku in _skus_within(id_, world)}


def _sites_that_meet(parent_id: UUID, child_id: UUID, world: World) -> set[str]:
    """Sites of both; of one without a run, those of its parents and children."""
    lots = world.lots

    def is_silent(id_: UUID) -> bool:
        return lots[id_].run is None

    below = _reached({child_id}, lambda id_: lots[id_].children if is_silent(id_) else ())
    seeds = {parent_id, *filter(is_silent, below)}
    above = _reached(seeds, lambda id_: _parents(id_, world) if is_silent(id_) else ())
    return {world.runs[run].site for id_ in below | above if (run := lots[id_].run)}


def _parents(lot_id: UUID, world: World) -> set[UUID]:
    return {id_ for id_, lot in world.lots.items() if lot_id in lot.children}


def _reached(seeds: set[UUID], further: Callable[[UUID], Iterable[UUID]]) -> set[UUID]:
    """Those that one comes to from some, step by step, and these themselves."""
    found: set[UUID] = set()
    new = seeds
    while new:
        found |= new
        new = {id_ for each in new for id_ in further(each)} - found
    return found


def _told(lot: Lot) -> dict[str, Any]:
    return {"lot_status": lot.status, "left_kg": lot.left, "sku_type": lot.sku}


ACTS_ON_LOTS = {
    "register_lot": _register,
    "record_qc_decision": _decide,
    "resolve_hold": _resolve,
    "reject_lot": _reject,
    "consume_lot": _consume,
    "finish_lot": _finish,
}
