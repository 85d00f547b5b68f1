"""Use cases of production runs. Rules: the domain reference, "Production run".

Turn before state: a command that comes too early waits whatever state the run is in, so that commands whose order the
plan gives end the same in whatever order they arrive. A command whose turn it is, is judged at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn
from uuid import UUID

from runworker.commands import AbortRun, AdvanceStep, Command, CompleteRun, HoldRun, ResumeRun, StartRun
from runworker.errors import Code, NotYet, Rejected
from runworker.handlers.facts import Facts, Outcome, Run, Step, Version
from runworker.plan import SKIPPED_NODE_ID, Plan
from runworker.states import RUN_MOVES, FlowVersionStatus, RunStatus, StepExecutionStatus

_FINISHED = frozenset({RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.ARCHIVED})


def start_run(command: StartRun, facts: Facts) -> Outcome:
    """Pin the run to its version, write all its steps and begin step 0."""
    _known_operator(command.operator_id, facts)
    existing = facts.runs.get(command.target_run)
    if existing is not None and existing.status is not RunStatus.IDLE:
        raise Rejected(
            Code.RUN_ALREADY_EXISTS,
            f"run {existing.id} is {existing.status} already; a new run needs an id of its own",
            run_status=str(existing.status),
        )
    version = _published(command.flow_version_id, facts)
    if existing is not None and existing.flow_version_id not in (None, version.id):
        raise Rejected(
            Code.RUN_PIN_IMMUTABLE, f"run {existing.id} is pinned to {existing.flow_version_id} and not to {version.id}"
        )
    if isinstance(version.plan, Rejected):
        raise version.plan
    base = existing or Run(
        id=command.target_run,
        status=RunStatus.IDLE,
        flow_version_id=version.id,
        current_step_index=0,
        started_at=facts.now,
        site_code=command.site_code or facts.default_site_code,
        scenario_id=command.scenario_id,
        daily_target_kg=command.daily_target_kg,
        idempotency_key=command.idempotency_key,
    )
    run = replace(
        base,
        status=RunStatus.RUNNING,
        flow_version_id=version.id,
        started_at=facts.now,
        started_by=command.issued_by,
        operator_id=command.operator_id or base.operator_id or command.issued_by,
        steps=_steps_of(version.plan),
    )
    return Outcome(
        _begin_step(run, 0, command.operator_id or command.issued_by, facts), {"version_num": version.version_num}
    )


def advance_step(command: AdvanceStep, facts: Facts) -> Outcome:
    """Finish the current step and begin the planned one after it."""
    _known_operator(command.operator_id, facts)
    run = _started(command.run_id, facts)
    _in_turn(run, command.to_step_index)
    _must_be_running(run)
    run = _finish_step(run, facts)
    return Outcome(_begin_step(run, command.to_step_index, command.operator_id or command.issued_by, facts))


def hold_run(command: HoldRun, facts: Facts) -> Outcome:
    """Pause the run."""
    return Outcome(replace(_moved(command.run_id, RunStatus.HOLD, facts), status_reason=command.reason))


def resume_run(command: ResumeRun, facts: Facts) -> Outcome:
    """Go on after a hold."""
    run = _existing(command.run_id, facts)
    if run.status is not RunStatus.HOLD:
        _illegal(run, RunStatus.RUNNING, "only a run on HOLD is resumed")
    return Outcome(replace(run, status=RunStatus.RUNNING, status_reason=command.resolution))


def complete_run(command: CompleteRun, facts: Facts) -> Outcome:
    """Finish the last step and the run."""
    run = _started(command.run_id, facts)
    last = run.planned[-1]
    if run.current_step_index != last:
        raise _before_its_turn(run, f"step {last}, the plan's last", last)
    _must_be_running(run)
    run = _finish_step(run, facts)
    return Outcome(replace(run, status=RunStatus.COMPLETED, completed_at=facts.now, ended_at=facts.now))


def abort_run(command: AbortRun, facts: Facts) -> Outcome:
    """End the run; what is not finished becomes SKIPPED."""
    run = _moved(command.run_id, RunStatus.ABORTED, facts)
    steps = tuple(
        step if step.status is StepExecutionStatus.COMPLETED else replace(step, status=StepExecutionStatus.SKIPPED)
        for step in run.steps
    )
    return Outcome(replace(run, ended_at=facts.now, status_reason=command.reason, steps=steps))


HANDLERS: Mapping[type[Command], Callable[[Any, Facts], Outcome]] = {
    StartRun: start_run,
    AdvanceStep: advance_step,
    HoldRun: hold_run,
    ResumeRun: resume_run,
    CompleteRun: complete_run,
    AbortRun: abort_run,
}


def _known_operator(operator_id: UUID | None, facts: Facts) -> None:
    if operator_id is not None and operator_id not in facts.users:
        raise Rejected(Code.UNKNOWN_USER, f"operator_id {operator_id} names no user")


def _published(version_id: UUID, facts: Facts) -> Version:
    version = facts.versions.get(version_id)
    if version is None:
        raise Rejected(Code.UNKNOWN_FLOW_VERSION, f"no flow version has the id {version_id}")
    if version.status is not FlowVersionStatus.PUBLISHED:
        raise Rejected(
            Code.FLOW_VERSION_NOT_PUBLISHED,
            f"flow version {version_id} is {version.status}; a run needs a PUBLISHED one",
        )
    return version


def _steps_of(plan: Plan) -> tuple[Step, ...]:
    planned = [Step(step.index, step.node_id, StepExecutionStatus.PENDING) for step in plan.steps]
    skipped = [Step(index, SKIPPED_NODE_ID, StepExecutionStatus.SKIPPED) for index in plan.skipped]
    return tuple(sorted(planned + skipped, key=lambda step: step.step_index))


def _existing(run_id: UUID, facts: Facts) -> Run:
    run = facts.runs.get(run_id)
    if run is None:
        raise NotYet(f"run {run_id} does not exist yet", waiting_for={"run_id": str(run_id)}, wakes_on=(run_id,))
    return run


def _started(run_id: UUID, facts: Facts) -> Run:
    """The run, begun and not finished, with a plan to follow."""
    run = _existing(run_id, facts)
    if run.status is RunStatus.IDLE:
        raise NotYet(
            f"run {run_id} has not been started yet",
            waiting_for={"run_id": str(run_id), "run_status": str(RunStatus.RUNNING)},
            wakes_on=(run_id,),
        )
    if run.status in _FINISHED:
        raise Rejected(Code.RUN_NOT_RUNNING, f"run {run_id} is {run.status}", run_status=str(run.status))
    if not run.planned:
        raise Rejected(
            Code.RUN_NOT_PINNED, f"run {run_id} is a legacy run without a plan; it can be held or aborted only"
        )
    return run


def _in_turn(run: Run, target: int) -> None:
    if target not in run.planned:
        raise Rejected(
            Code.STEP_NOT_PLANNED, f"the plan of run {run.id} has no step {target}; it has {list(run.planned)}"
        )
    if target <= run.current_step_index:
        raise Rejected(
            Code.STEP_ALREADY_PASSED,
            f"run {run.id} is at step {run.current_step_index}; step {target} lies behind it",
            current_step_index=run.current_step_index,
        )
    before = max(index for index in run.planned if index < target)
    if before != run.current_step_index:
        raise _before_its_turn(run, f"step {before}", before)


def _before_its_turn(run: Run, where: str, step_index: int) -> NotYet:
    return NotYet(
        f"run {run.id} is at step {run.current_step_index} and has to reach {where} first",
        waiting_for={"run_id": str(run.id), "current_step_index": step_index},
        wakes_on=(run.id,),
    )


def _must_be_running(run: Run) -> None:
    if run.status is RunStatus.HOLD:
        raise Rejected(Code.RUN_ON_HOLD, f"run {run.id} is on HOLD: {run.status_reason or 'no reason recorded'}")


def _moved(run_id: UUID, target: RunStatus, facts: Facts) -> Run:
    run = _existing(run_id, facts)
    if target not in RUN_MOVES[run.status]:
        allowed = [str(status) for status, targets in RUN_MOVES.items() if target in targets]
        _illegal(run, target, f"it has to be {' or '.join(allowed)}")
    return replace(run, status=target)


def _illegal(run: Run, target: RunStatus, why: str) -> NoReturn:
    raise Rejected(
        Code.RUN_ILLEGAL_MOVE,
        f"run {run.id} is {run.status} and cannot become {target}: {why}",
        run_status=str(run.status),
    )


def _finish_step(run: Run, facts: Facts) -> Run:
    return _with_step(run, run.current_step_index, status=StepExecutionStatus.COMPLETED, completed_at=facts.now)


def _begin_step(run: Run, step_index: int, operator_id: UUID, facts: Facts) -> Run:
    begun = _with_step(
        run, step_index, status=StepExecutionStatus.IN_PROGRESS, started_at=facts.now, operator_id=operator_id
    )
    return replace(begun, current_step_index=step_index)


def _with_step(run: Run, step_index: int, **changes: Any) -> Run:
    steps = tuple(replace(step, **changes) if step.step_index == step_index else step for step in run.steps)
    return replace(run, steps=steps)
