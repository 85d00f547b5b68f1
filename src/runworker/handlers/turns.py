"""Turns: checks that several use cases make of a run before they do anything.

Turn before state: a command that comes too early waits whatever state the run is in, so that commands whose order the
plan gives end the same in whatever order they arrive. A command whose turn it is, is judged at once.
"""

from uuid import UUID

from runworker.codes import Code
from runworker.errors import NotYet, Rejected
from runworker.handlers.facts import Facts, RunFact
from runworker.states import FINISHED_RUNS, UNFINISHED_RUNS, RunStatus


def operator_of(operator_id: UUID | None, issued_by: UUID, facts: Facts) -> UUID:
    """The operator who does the work: the one named, else the command's issuer."""
    if operator_id is not None and operator_id not in facts.users:
        raise Rejected(Code.UNKNOWN_USER, f"operator_id {operator_id} names no user")
    return operator_id or issued_by


def existing_run(run_id: UUID, facts: Facts) -> RunFact:
    """The run; waits for one that does not exist yet."""
    run = facts.runs.get(run_id)
    if run is None:
        raise NotYet(f"run {run_id} does not exist yet", waiting_for={"run_id": str(run_id)}, blocked_on=(run_id,))
    return run


def started_run(run_id: UUID, facts: Facts) -> RunFact:
    """The run, begun and not finished, with a plan to follow; waits for one that is not begun."""
    run = existing_run(run_id, facts)
    if run.status is RunStatus.IDLE:
        raise NotYet(
            f"run {run_id} has not been started yet",
            waiting_for={"run_id": str(run_id), "run_status": str(RunStatus.RUNNING)},
            blocked_on=(run_id,),
        )
    if run.status in FINISHED_RUNS:
        raise Rejected(Code.RUN_NOT_RUNNING, f"run {run_id} is {run.status}", run_status=str(run.status))
    if not run.planned:
        raise Rejected(Code.RUN_NOT_PINNED, f"run {run_id} is a legacy run without a plan; adopt_run gives it one")
    return run


def run_under_way(run_id: UUID, facts: Facts) -> RunFact:
    """The run, RUNNING or on HOLD, whether it has a plan or not; waits for one that does not exist yet."""
    run = existing_run(run_id, facts)
    if run.status not in UNFINISHED_RUNS - {RunStatus.IDLE}:
        raise Rejected(
            Code.RUN_NOT_RUNNING,
            f"run {run_id} is {run.status}; expected RUNNING or HOLD",
            run_status=str(run.status),
        )
    return run


def require_turn_for_step(run: RunFact, step_index: int) -> None:
    """Require that the run is at this very step; the command waits for a later one."""
    require_planned(run, step_index)
    if step_index < run.current_step_index:
        raise _passed(run, step_index)
    if step_index > run.current_step_index:
        raise before_its_turn(run, f"step {step_index}", step_index)


def require_reached(run: RunFact, step_index: int) -> None:
    """Require that the run is at this step or beyond it; the command waits for a later one."""
    if run.steps:
        require_planned(run, step_index)
    if step_index > run.current_step_index:
        raise before_its_turn(run, f"step {step_index}", step_index)


def require_turn_to_advance(run: RunFact, target: int) -> None:
    """Require that `target` is the planned step after the current one; the command waits for the one before it."""
    planned = require_planned(run, target)
    if target <= run.current_step_index:
        raise _passed(run, target)
    before = planned[planned.index(target) - 1]
    if before != run.current_step_index:
        raise before_its_turn(run, f"step {before}", before)


def before_its_turn(run: RunFact, where: str, step_index: int) -> NotYet:
    """The error for a command that has to wait until the run reaches a step."""
    return NotYet(
        f"run {run.id} is at step {run.current_step_index} and has to reach {where} first",
        waiting_for={"run_id": str(run.id), "current_step_index": step_index},
        blocked_on=(run.id,),
    )


def require_running(run: RunFact) -> None:
    """Require that the run is not on HOLD."""
    if run.status is RunStatus.HOLD:
        raise Rejected(Code.RUN_ON_HOLD, f"run {run.id} is on HOLD: {run.status_reason or 'no reason recorded'}")


def require_planned(run: RunFact, step_index: int) -> tuple[int, ...]:
    """The steps of the plan, of which this has to be one."""
    planned = run.planned
    if step_index not in planned:
        raise Rejected(
            Code.STEP_NOT_PLANNED, f"the plan of run {run.id} has no step {step_index}; it has {list(planned)}"
        )
    return planned


def _passed(run: RunFact, step_index: int) -> Rejected:
    return Rejected(
        Code.STEP_ALREADY_PASSED,
        f"run {run.id} is at step {run.current_step_index}; step {step_index} lies behind it",
        current_step_index=run.current_step_index,
    )
