"""Use cases of production runs. Rules: the domain reference, "Production run"."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn
from uuid import UUID

from runworker.codes import Code
from runworker.commands import (
    AbortRun,
    AdvanceStep,
    ArchiveRun,
    Command,
    CompleteRun,
    HoldRun,
    ResumeRun,
    RollbackStep,
    StartRun,
)
from runworker.errors import Rejected
from runworker.handlers.facts import Facts, LotFact, Outcome, RunFact, StepFact, VersionFact
from runworker.handlers.lots import can_finish
from runworker.handlers.turns import (
    before_its_turn,
    existing_run,
    operator_of,
    require_running,
    require_turn_to_advance,
    started_run,
)
from runworker.plan import SKIPPED_NODE_ID, Plan
from runworker.states import QC_PENDING_LOTS, RUN_MOVES, FlowVersionStatus, LotStatus, RunStatus, StepExecutionStatus


def start_run(command: StartRun, facts: Facts) -> Outcome:
    """Pin the run to its version, write all its steps and begin step 0."""
    operator_id = operator_of(command.operator_id, command.issued_by, facts)
    existing = facts.runs.get(command.target_run)
    if existing is not None and existing.status is not RunStatus.IDLE:
        raise Rejected(
            Code.RUN_ALREADY_EXISTS,
            f"run {existing.id} is {existing.status} already; a new run needs an id of its own",
            run_status=str(existing.status),
        )
    version, plan = published_plan(command.flow_version_id, facts)
    if existing is not None and existing.flow_version_id not in (None, version.id):
        raise Rejected(
            Code.RUN_PIN_IMMUTABLE, f"run {existing.id} is pinned to {existing.flow_version_id} and not to {version.id}"
        )
    base = existing or RunFact(
        id=command.target_run,
        status=RunStatus.IDLE,
        flow_version_id=version.id,
        current_step_index=0,
        started_at=facts.now,
        new_at_site=command.site_code or facts.rules.default_site_code,
        scenario_id=command.scenario_id,
        daily_target_kg=command.daily_target_kg,
        idempotency_key=command.idempotency_key,
    )
    run = base._replace(
        status=RunStatus.RUNNING,
        flow_version_id=version.id,
        started_at=facts.now,
        started_by=command.issued_by,
        operator_id=command.operator_id or base.operator_id or command.issued_by,
        steps=steps_of(plan),
    )
    return Outcome(_begin_step(run, 0, operator_id, facts), state={"version_num": version.version_num})


def advance_step(command: AdvanceStep, facts: Facts) -> Outcome:
    """Finish the current step and begin the planned one after it."""
    operator_id = operator_of(command.operator_id, command.issued_by, facts)
    run = started_run(command.run_id, facts)
    require_turn_to_advance(run, command.to_step_index)
    require_running(run)
    _require_quality_done(run, facts)
    return Outcome(_begin_step(_finish_step(run, facts), command.to_step_index, operator_id, facts))


def rollback_step(command: RollbackStep, facts: Facts) -> Outcome:
    """Go back to an earlier planned step; the steps after it are to be done again."""
    run = started_run(command.run_id, facts)
    target = command.to_step_index
    if target not in run.planned or target >= run.current_step_index:
        raise Rejected(
            Code.STEP_NOT_BEHIND,
            f"run {run.id} is at step {run.current_step_index}; it goes back to one of "
            f"{[index for index in run.planned if index < run.current_step_index]}, not to {target}",
        )
    require_no_lots_beyond(run, target, facts)
    steps = tuple(
        step._replace(status=StepExecutionStatus.PENDING, started_at=None, completed_at=None, operator_id=None)
        if step.step_index > target and step.status is not StepExecutionStatus.SKIPPED
        else step
        for step in run.steps
    )
    run = run._replace(steps=steps, status_reason=command.reason)
    return Outcome(_begin_step(_with_step(run, target, {"completed_at": None}), target, command.issued_by, facts))


def hold_run(command: HoldRun, facts: Facts) -> Outcome:
    """Pause the run."""
    return Outcome(_moved(command.run_id, RunStatus.HOLD, facts)._replace(status_reason=command.reason))


def resume_run(command: ResumeRun, facts: Facts) -> Outcome:
    """Go on after a hold."""
    run = existing_run(command.run_id, facts)
    if run.status is not RunStatus.HOLD:
        _illegal(run, RunStatus.RUNNING, "only a run on HOLD is resumed")
    return Outcome(run._replace(status=RunStatus.RUNNING, status_reason=command.resolution))


def complete_run(command: CompleteRun, facts: Facts) -> Outcome:
    """Finish the last step, the run, and its lots, last ones first."""
    run = started_run(command.run_id, facts)
    last = run.planned[-1]
    if run.current_step_index != last:
        raise before_its_turn(run, f"step {last}, the plan's last", last)
    require_running(run)
    _require_quality_done(run, facts)
    run = _finish_step(run, facts)
    finished = _finished_lots(run, facts)
    return Outcome(
        run._replace(status=RunStatus.COMPLETED, completed_at=facts.now, ended_at=facts.now),
        lots=finished,
        state={"lots_finished": len(finished)},
    )


def abort_run(command: AbortRun, facts: Facts) -> Outcome:
    """End the run; steps that are not finished become SKIPPED."""
    run = _moved(command.run_id, RunStatus.ABORTED, facts)
    steps = tuple(
        step if step.status is StepExecutionStatus.COMPLETED else step._replace(status=StepExecutionStatus.SKIPPED)
        for step in run.steps
    )
    return Outcome(run._replace(ended_at=facts.now, status_reason=command.reason, steps=steps))


def archive_run(command: ArchiveRun, facts: Facts) -> Outcome:
    """Put a finished run away, once its retention has passed."""
    run = _moved(command.run_id, RunStatus.ARCHIVED, facts)
    if run.ended_at is not None and run.ended_at + facts.rules.retention > facts.now:
        raise Rejected(
            Code.RETENTION_NOT_PASSED,
            f"run {run.id} ended at {run.ended_at:%Y-%m-%d %H:%M}; it is kept for {facts.rules.retention.days} days",
        )
    return Outcome(run)


RUN_HANDLERS: Mapping[type[Command], Callable[[Any, Facts], Outcome]] = {
    StartRun: start_run,
    AdvanceStep: advance_step,
    RollbackStep: rollback_step,
    HoldRun: hold_run,
    ResumeRun: resume_run,
    CompleteRun: complete_run,
    AbortRun: abort_run,
    ArchiveRun: archive_run,
}


def published_plan(version_id: UUID, facts: Facts) -> tuple[VersionFact, Plan]:
    """The version, PUBLISHED, and its plan. Raises Rejected where it is no such, or has no valid plan."""
    version = facts.versions.get(version_id)
    if version is None:
        raise Rejected(Code.UNKNOWN_FLOW_VERSION, f"no flow version has the id {version_id}")
    if version.status is not FlowVersionStatus.PUBLISHED:
        raise Rejected(
            Code.FLOW_VERSION_NOT_PUBLISHED,
            f"flow version {version_id} is {version.status}; a run needs a PUBLISHED one",
        )
    if isinstance(version.plan, Rejected):
        raise version.plan
    return version, version.plan


def steps_of(plan: Plan) -> tuple[StepFact, ...]:
    """The eleven steps of a run that has not begun."""
    planned = [StepFact(step.index, step.node_id, StepExecutionStatus.PENDING) for step in plan.steps]
    skipped = [StepFact(index, SKIPPED_NODE_ID, StepExecutionStatus.SKIPPED) for index in plan.skipped]
    return tuple(sorted(planned + skipped, key=lambda step: step.step_index))


def require_no_lots_beyond(run: RunFact, step_index: int, facts: Facts) -> None:
    """Require that no live lot of the run belongs to a later step. All its lots have to be loaded."""
    ahead = [lot for lot in facts.lots_of(run.id) if _is_live_beyond(lot, step_index)]
    if ahead:
        raise Rejected(
            Code.LIVE_LOTS_AHEAD, f"{len(ahead)} live lots belong to steps after {step_index}", lots=_codes(ahead)
        )


def _require_quality_done(run: RunFact, facts: Facts) -> None:
    """Refuse to leave a step whose lots quality control is not done with."""
    blocking = QC_PENDING_LOTS if _has_gate(run, facts) else {LotStatus.HOLD}
    open_lots = [
        lot for lot in facts.lots_of(run.id) if lot.step_index == run.current_step_index and lot.status in blocking
    ]
    if open_lots:
        raise Rejected(
            Code.QC_PENDING,
            f"{len(open_lots)} lots of step {run.current_step_index} wait for quality control",
            lots=_codes(open_lots),
        )


def _has_gate(run: RunFact, facts: Facts) -> bool:
    plan = facts.plans.get(run.flow_version_id) if run.flow_version_id else None
    if plan is None or isinstance(plan, Rejected):
        return True  # a plan that cannot be read any more opens no gate
    step = plan.step(run.current_step_index)
    return step is None or step.has_gate


def _is_live_beyond(lot: LotFact, step_index: int) -> bool:
    return lot.step_index is not None and lot.step_index > step_index and lot.status is not LotStatus.REJECTED


def _finished_lots(run: RunFact, facts: Facts) -> tuple[LotFact, ...]:
    lots = dict(facts.lots)
    finished: dict[UUID, LotFact] = {}
    last_first = sorted(facts.lots_of(run.id), key=lambda lot: lot.step_index or 0, reverse=True)
    before = -1
    while len(finished) > before:  # which lots without a step come last, nothing but their children tells
        before = len(finished)
        for lot in last_first:
            if lot.id not in finished and can_finish(lot, lots):
                lots[lot.id] = finished[lot.id] = replace(lot, status=LotStatus.FINISHED)
    return tuple(finished.values())


def _codes(lots: list[LotFact]) -> list[str]:
    return sorted(lot.lot_code or str(lot.id) for lot in lots)[:20]


def _moved(run_id: UUID, target: RunStatus, facts: Facts) -> RunFact:
    run = existing_run(run_id, facts)
    if target not in RUN_MOVES[run.status]:
        allowed = [str(status) for status, targets in RUN_MOVES.items() if target in targets]
        _illegal(run, target, f"it has to be {' or '.join(allowed)}")
    return run._replace(status=target)


def _illegal(run: RunFact, target: RunStatus, why: str) -> NoReturn:
    raise Rejected(
        Code.RUN_ILLEGAL_MOVE,
        f"run {run.id} is {run.status} and cannot become {target}: {why}",
        run_status=str(run.status),
    )


def _finish_step(run: RunFact, facts: Facts) -> RunFact:
    finished = {"status": StepExecutionStatus.COMPLETED, "completed_at": facts.now}
    return _with_step(run, run.current_step_index, finished)


def _begin_step(run: RunFact, step_index: int, operator_id: UUID, facts: Facts) -> RunFact:
    begun = {"status": StepExecutionStatus.IN_PROGRESS, "started_at": facts.now, "operator_id": operator_id}
    return _with_step(run, step_index, begun, current_step_index=step_index)


def _with_step(run: RunFact, step_index: int, changed: Mapping[str, Any], **of_run: Any) -> RunFact:
    steps = tuple([step._replace(**changed) if step.step_index == step_index else step for step in run.steps])
    return run._replace(steps=steps, **of_run)
