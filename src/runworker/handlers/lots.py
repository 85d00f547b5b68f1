"""Use cases of lots. Rules: the domain reference, "Lot"."""

from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from runworker.canonical import CANONICAL_STEPS
from runworker.codes import Code
from runworker.commands import (
    Command,
    ConsumeLot,
    FinishLot,
    RecordQcDecision,
    RegisterLot,
    RejectLot,
    ResolveHold,
)
from runworker.errors import NotYet, Rejected
from runworker.handlers.facts import Facts, LinkFact, LotFact, Outcome, QcFact, RunFact
from runworker.handlers.genealogy import consumed, relabelled, sku_of_child
from runworker.handlers.lot_codes import require_fitting_code
from runworker.handlers.turns import operator_of, require_running, require_turn_for_step, started_run
from runworker.states import (
    CLOSED_LOTS,
    FINAL_LOTS,
    FINISHED_RUNS,
    LEGACY_LOT_TYPES,
    STOPPABLE_LOTS,
    Decision,
    LotStatus,
    LotType,
    RunStatus,
)

_AFTER_DECISION: Final = {
    Decision.PASS: LotStatus.RELEASED,
    Decision.HOLD: LotStatus.HOLD,
    Decision.FAIL: LotStatus.REJECTED,
}


def register_lot(command: RegisterLot, facts: Facts) -> Outcome:
    """Create the lot in QUARANTINE and consume its parents."""
    operator_id = operator_of(command.operator_id, command.issued_by, facts)
    run = started_run(command.run_id, facts)
    require_turn_for_step(run, command.step_index)
    require_running(run)
    if command.target_lot in facts.lots:
        raise Rejected(Code.LOT_ALREADY_EXISTS, f"lot {command.target_lot} has been registered before")
    _require_allowed_type(command.lot_type, run)
    require_fitting_code(command, run, facts)
    if command.supplier_id is not None and command.lot_type is not LotType.RAW:
        raise Rejected(
            Code.SUPPLIER_NOT_ALLOWED,
            f"a {command.lot_type} lot has parents and no supplier of its own; got {command.supplier_id}",
        )
    lot = LotFact(
        id=command.target_lot,
        lot_code=command.lot_code,
        lot_type=command.lot_type,
        status=LotStatus.QUARANTINE,
        run_id=run.id,
        step_index=command.step_index,
        weight_kg=command.weight_kg,
        temperature_c=command.temperature_c,
        supplier_id=command.supplier_id,
        operator_id=operator_id,
        metadata=command.metadata,
        new_at_site=run.site_code or facts.rules.default_site_code,
    )
    wanted = _wanted(command)
    parents = [_to_be_consumed(parent_id, lot, facts) for parent_id in wanted]
    lot = replace(lot, sku_type=sku_of_child(lot, parents))
    links = tuple(LinkFact(parent_id, lot.id, quantity, run.id) for parent_id, quantity in wanted.items())
    taken = tuple(consumed(parent, lot, wanted[parent.id], run, facts, final=False) for parent in parents)
    gained = lot.weight_kg - sum(wanted.values(), Decimal(0)) if lot.weight_kg and wanted else None
    return Outcome(lots=(lot, *taken), links=links, state={"gained_kg": str(gained)} if gained is not None else {})


def record_qc_decision(command: RecordQcDecision, facts: Facts) -> Outcome:
    """Write the decision and move the lot; a CCP temperature over its limit forces HOLD whatever was decided."""
    lot = existing_lot(command.lot_id, facts)
    require_unarchived(lot, facts)
    if command.decision is not Decision.PASS and len(command.notes or "") < _SHORTEST_NOTES:
        raise Rejected(
            Code.NOTES_REQUIRED,
            f"{command.decision} needs notes of 10 to 500 characters that say why; got {len(command.notes or '')}",
        )
    temperature = command.temperature_c if command.temperature_c is not None else lot.temperature_c
    limit = CANONICAL_STEPS[lot.step_index].ccp_limit if lot.step_index is not None else None
    too_warm = limit is not None and temperature is not None and temperature > limit
    target = LotStatus.HOLD if too_warm else _AFTER_DECISION[command.decision]
    reason = command.notes
    if too_warm:
        reason = f"CCP: {temperature} °C is above the limit of {limit} °C of step {lot.step_index}; " + (
            f"decided {command.decision}" + (f": {command.notes}" if command.notes else "")
        )
    # Only a manager ends a HOLD, by resolve_hold or reject_lot, whatever quality control finds.
    _require_state(lot, target, STOPPABLE_LOTS if target is LotStatus.HOLD else {LotStatus.QUARANTINE})
    moved = replace(lot, status=target, temperature_c=temperature, status_reason=reason or lot.status_reason)
    record = QcFact(
        id=command.idempotency_key,
        lot_id=lot.id,
        qc_gate_id=command.qc_gate_id,
        operator_id=command.issued_by,
        decision=command.decision,
        notes=command.notes,
        temperature_c=temperature,
        digital_signature=command.digital_signature,
        decided_at=facts.now,
    )
    return Outcome(lots=(moved,), qc_record=record, state={"ccp_violation": too_warm})


def resolve_hold(command: ResolveHold, facts: Facts) -> Outcome:
    """Release a lot from HOLD."""
    return _from_hold(command.lot_id, LotStatus.RELEASED, command.resolution, facts)


def reject_lot(command: RejectLot, facts: Facts) -> Outcome:
    """Reject a lot on HOLD."""
    return _from_hold(command.lot_id, LotStatus.REJECTED, command.reason, facts)


def consume_lot(command: ConsumeLot, facts: Facts) -> Outcome:
    """Take material from one lot into another, which belongs to no finished run."""
    child = existing_lot(command.into_lot_id, facts)
    parent = _to_be_consumed(command.lot_id, child, facts)
    run = facts.runs.get(child.run_id) if child.run_id else None
    if run is not None and run.status in FINISHED_RUNS:
        raise Rejected(
            Code.RUN_READ_ONLY,
            f"lot {child.id} belongs to run {run.id}, which is {run.status}: what its lots are made of is settled",
            run_status=str(run.status),
        )
    if child.status in CLOSED_LOTS:
        raise Rejected(Code.LOT_ILLEGAL_MOVE, f"lot {child.id} is {child.status} and takes no more material")
    if child.lot_type is LotType.RAW:
        raise Rejected(Code.RAW_LOT_HAS_PARENTS, f"lot {child.id} is RAW: it comes from a supplier and has no parents")
    sku_changed = relabelled(child, parent)
    taken = consumed(parent, child, command.quantity_used_kg, run, facts, final=command.final)
    link = LinkFact(parent.id, child.id, command.quantity_used_kg, child_run_id=child.run_id)
    return Outcome(lots=(taken, *sku_changed), links=(link,))


def finish_lot(command: FinishLot, facts: Facts) -> Outcome:
    """Close a lot."""
    lot = existing_lot(command.lot_id, facts)
    require_unarchived(lot, facts)
    if not can_finish(lot, facts.lots):
        if lot.status is not LotStatus.CONSUMED:
            raise Rejected(
                Code.LOT_ILLEGAL_MOVE,
                f"lot {lot.id} is {lot.status}; a CONSUMED lot is finished, or a RELEASED SHIP lot",
            )
        open_children = [str(child) for child in sorted(lot.children) if not _is_closed(facts.lots.get(child))]
        raise Rejected(
            Code.CHILDREN_NOT_FINISHED,
            f"lot {lot.id} has {len(open_children)} child lots that are neither FINISHED nor REJECTED",
            children=open_children[:20],
        )
    return Outcome(lots=(replace(lot, status=LotStatus.FINISHED),))


def can_finish(lot: LotFact, lots: Mapping[UUID, LotFact]) -> bool:
    """Whether the lot may become FINISHED: CONSUMED with all children closed, or a RELEASED shipment."""
    if lot.lot_type is LotType.SHIP and lot.status is LotStatus.RELEASED:
        return True
    return lot.status is LotStatus.CONSUMED and all(_is_closed(lots.get(child)) for child in lot.children)


LOT_HANDLERS: Mapping[type[Command], Callable[[Any, Facts], Outcome]] = {
    RegisterLot: register_lot,
    RecordQcDecision: record_qc_decision,
    ResolveHold: resolve_hold,
    RejectLot: reject_lot,
    ConsumeLot: consume_lot,
    FinishLot: finish_lot,
}

_SHORTEST_NOTES: Final = 10


def _is_closed(lot: LotFact | None) -> bool:
    return lot is not None and lot.status in FINAL_LOTS


def existing_lot(lot_id: UUID, facts: Facts) -> LotFact:
    """The lot; waits for one that does not exist yet."""
    lot = facts.lots.get(lot_id)
    if lot is None:
        raise NotYet(f"lot {lot_id} does not exist yet", waiting_for={"lot_id": str(lot_id)}, blocked_on=(lot_id,))
    return lot


def _require_state(lot: LotFact, target: LotStatus, allowed: Set[LotStatus]) -> None:
    if lot.status not in allowed:
        raise Rejected(
            Code.LOT_ILLEGAL_MOVE,
            f"lot {lot.id} is {lot.status} and cannot become {target}: it has to be {' or '.join(sorted(allowed))}",
            lot_status=str(lot.status),
        )


def _from_hold(lot_id: UUID, target: LotStatus, why: str, facts: Facts) -> Outcome:
    lot = existing_lot(lot_id, facts)
    require_unarchived(lot, facts)
    _require_state(lot, target, {LotStatus.HOLD})
    return Outcome(lots=(replace(lot, status=target, status_reason=why),))


def require_unarchived(lot: LotFact, facts: Facts) -> None:
    """Require that the lot's run is not ARCHIVED."""
    run = facts.runs.get(lot.run_id) if lot.run_id else None
    if run is not None and run.status is RunStatus.ARCHIVED:
        raise Rejected(Code.RUN_READ_ONLY, f"lot {lot.id} belongs to run {run.id}, which is ARCHIVED")


def _require_allowed_type(lot_type: LotType, run: RunFact) -> None:
    if lot_type in LEGACY_LOT_TYPES:
        raise Rejected(Code.LOT_TYPE_LEGACY, f"{lot_type} is a legacy type; register {lot_type}15 or {lot_type}30")
    allowed = CANONICAL_STEPS[run.current_step_index].lot_types
    if lot_type not in allowed:
        raise Rejected(
            Code.LOT_TYPE_NOT_ALLOWED,
            f"step {run.current_step_index} makes {' or '.join(allowed) or 'no lots'}, not {lot_type}",
        )


def _wanted(command: RegisterLot) -> dict[UUID, Decimal]:
    wanted = {parent.lot_id: parent.quantity_used_kg for parent in command.parents}
    if len(wanted) < len(command.parents):
        times = Counter(parent.lot_id for parent in command.parents)
        raise Rejected(
            Code.PARENT_REPEATED,
            f"parent {times.most_common(1)[0][0]} stands twice in the list; name it once with the whole quantity",
        )
    if command.lot_type is LotType.RAW and wanted:
        raise Rejected(
            Code.RAW_LOT_HAS_PARENTS, f"a RAW lot comes from a supplier and has no parents; got {len(wanted)} of them"
        )
    if command.lot_type is not LotType.RAW and not wanted:
        raise Rejected(Code.PARENTS_REQUIRED, f"a {command.lot_type} lot is made of at least one parent")
    return wanted


def _to_be_consumed(parent_id: UUID, child: LotFact, facts: Facts) -> LotFact:
    if parent_id == child.id:
        raise Rejected(Code.LOT_OWN_PARENT, f"lot {child.id} cannot be made of itself")
    return existing_lot(parent_id, facts)
