"""Use cases of taking over a plant: what an older system's runs and lots lack is given to them, once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runworker.canonical import CANONICAL_STEPS
from runworker.codes import Code
from runworker.commands import AdoptLot, AdoptRun, Command
from runworker.errors import Rejected
from runworker.handlers.facts import Facts, LotFact, Outcome, StepFact
from runworker.handlers.genealogy import sku_of_type
from runworker.handlers.lot_codes import site_of_code
from runworker.handlers.lots import existing_lot, require_unarchived
from runworker.handlers.runs import published_plan, require_no_lots_beyond, steps_of
from runworker.handlers.turns import require_planned, require_reached, run_under_way
from runworker.states import (
    CLOSED_LOTS,
    FINAL_LOTS,
    FINISHED_RUNS,
    LEGACY_LOT_TYPES,
    LotStatus,
    StepExecutionStatus,
)


def adopt_run(command: AdoptRun, facts: Facts) -> Outcome:
    """Pin the run, write all its steps, and have it stand where the plant stands.

    Nobody noted when its steps began and ended, and who did them: up to the current one, each bears the moment at which
    the run began, and no operator.
    """
    run = run_under_way(command.run_id, facts)
    if run.flow_version_id is not None or run.steps:
        raise Rejected(
            Code.RUN_PIN_IMMUTABLE,
            f"run {run.id} is pinned to {run.flow_version_id}; a run is adopted once, while it has no flow version",
        )
    version, plan = published_plan(command.flow_version_id, facts)
    run = run._replace(flow_version_id=version.id, status_reason=command.reason, steps=steps_of(plan))
    require_planned(run, command.step_index)
    require_no_lots_beyond(run, command.step_index, facts)
    steps = tuple([_as_found(step, command.step_index, run.started_at) for step in run.steps])
    return Outcome(
        run._replace(current_step_index=command.step_index, steps=steps), state={"version_num": version.version_num}
    )


def adopt_lot(command: AdoptLot, facts: Facts) -> Outcome:
    """Give the lot the type, run and step that it lacks, and with its type the SKU."""
    lot = existing_lot(command.lot_id, facts)
    wanted: dict[str, Any] = {"lot_type": command.lot_type, "run_id": command.run_id, "step_index": command.step_index}
    given = {name: value for name, value in wanted.items() if value is not None}
    has = [f"{name} {getattr(lot, name)}" for name in given if getattr(lot, name) is not None]
    if has:
        raise Rejected(
            Code.LOT_ALREADY_ADOPTED,
            f"lot {lot.id} has {' and '.join(has)} already; each is given once, to a lot without",
        )
    require_unarchived(lot, facts)
    sku = lot.sku_type or sku_of_type(command.lot_type)
    adopted = replace(lot, **given, sku_type=sku, status_reason=command.reason)
    _require_fitting_run(command, adopted, facts)
    _require_unfrozen(lot, adopted)
    _require_fitting_type(command, adopted)
    return Outcome(lots=(adopted,))


ADOPTION_HANDLERS: Mapping[type[Command], Callable[[Any, Facts], Outcome]] = {
    AdoptRun: adopt_run,
    AdoptLot: adopt_lot,
}


def _as_found(step: StepFact, current: int, begun_at: datetime) -> StepFact:
    if step.step_index > current or step.status is StepExecutionStatus.SKIPPED:
        return step
    if step.step_index == current:
        return step._replace(status=StepExecutionStatus.IN_PROGRESS, started_at=begun_at)
    return step._replace(status=StepExecutionStatus.COMPLETED, started_at=begun_at, completed_at=begun_at)


def _require_fitting_run(command: AdoptLot, lot: LotFact, facts: Facts) -> None:
    """Require that the run it is given is under way and of its site, and that its run has come to its step."""
    run = facts.runs.get(lot.run_id) if lot.run_id else None
    if command.run_id is not None:
        run = run_under_way(command.run_id, facts)
        site = site_of_code(lot.lot_code)
        if site and run.site_code and site != run.site_code:
            raise Rejected(
                Code.LOT_CODE_OTHER_SITE, f"lot code {lot.lot_code} is of {site}; run {run.id} is at {run.site_code}"
            )
    if run is not None and run.status not in FINISHED_RUNS and lot.step_index is not None:
        require_reached(run, lot.step_index)


def _require_unfrozen(lot: LotFact, adopted: LotFact) -> None:
    """Require that a lot that takes no part any more keeps its step and SKU, and one that is final its type and run."""
    keeps_more = (adopted.step_index, adopted.sku_type) == (lot.step_index, lot.sku_type)
    if lot.status in (FINAL_LOTS if keeps_more else CLOSED_LOTS):
        may = ": it is given a type without a SKU, and a run" if lot.status is LotStatus.CONSUMED else ""
        raise Rejected(
            Code.LOT_FROZEN,
            f"lot {lot.id} is {lot.status} and stays what it is{may}",
            lot_status=str(lot.status),
        )


def _require_fitting_type(command: AdoptLot, lot: LotFact) -> None:
    """Require a type that is in use, of the lot's SKU, and that its step makes."""
    if lot.lot_type is None:
        return
    if command.lot_type in LEGACY_LOT_TYPES:
        raise Rejected(
            Code.LOT_TYPE_LEGACY, f"{lot.lot_type} is a legacy type; say {lot.lot_type}15 or {lot.lot_type}30"
        )
    if sku_of_type(lot.lot_type) not in (None, lot.sku_type):
        raise Rejected(Code.SKU_MIXED, f"lot {lot.id} is of SKU {lot.sku_type} and cannot be of type {lot.lot_type}")
    if lot.step_index is None:
        return
    makes = CANONICAL_STEPS[lot.step_index].lot_types
    if lot.lot_type not in makes and f"{lot.lot_type}15" not in makes:
        raise Rejected(
            Code.LOT_TYPE_NOT_ALLOWED,
            f"step {lot.step_index} makes {' or '.join(makes) or 'no lots'}, not {lot.lot_type}",
        )
