"""The rules of a run, told once more: when it is too early, and what a command makes of run and steps."""

from typing import Any

from tests.lifecycles.rules_lots import finish_what_can_be
from tests.lifecycles.world import Done, Run, World, present, refuse_if, wait_until_at


def _start(command: Any, world: World) -> Done:
    run_id = command.target_run
    refuse_if(run_id in world.runs, "RUN_ALREADY_EXISTS")
    version = world.versions.get(command.flow_version_id)
    refuse_if(version is None, "UNKNOWN_FLOW_VERSION")
    refuse_if(version.status != "PUBLISHED", "FLOW_VERSION_NOT_PUBLISHED")
    refuse_if(not version.plan, "PLAN_INVALID")
    steps = {index: "PENDING" if index in version.plan else "SKIPPED" for index in range(11)}
    world.runs[run_id] = Run(command.flow_version_id, command.site_code or "MAIN", steps)
    world.runs[run_id].steps[0] = "IN_PROGRESS"
    return _done(command, world.runs[run_id])


def _advance(command: Any, world: World) -> Done:
    run, target = present(command.run_id, world), command.to_step_index
    refuse_if(run.is_over, "RUN_NOT_RUNNING")
    refuse_if(target not in run.planned, "STEP_NOT_PLANNED")
    refuse_if(target <= run.step, "STEP_ALREADY_PASSED")
    _leave(run, run.planned[run.planned.index(target) - 1], command, world)
    run.steps |= {run.step: "COMPLETED", target: "IN_PROGRESS"}
    run.step = target
    return _done(command, run)


def _complete(command: Any, world: World) -> Done:
    run = present(command.run_id, world)
    refuse_if(run.is_over, "RUN_NOT_RUNNING")
    _leave(run, run.planned[-1], command, world)
    run.steps[run.step] = "COMPLETED"
    run.status = "COMPLETED"
    return _done(command, run, *finish_what_can_be(command, world))


def _leave(run: Run, step: int, command: Any, world: World) -> None:
    """A run leaves this step when it is there, running, and quality control has done its part."""
    wait_until_at(run, step, command.run_id)
    refuse_if(run.status == "HOLD", "RUN_ON_HOLD")
    open_states = {"CREATED", "QUARANTINE", "HOLD"} if step in world.versions[run.version].gates else {"HOLD"}
    lots = world.lots_of(command.run_id).values()
    refuse_if(any(lot.step == step and lot.status in open_states for lot in lots), "QC_PENDING")


def _roll_back(command: Any, world: World) -> Done:
    run, target = present(command.run_id, world), command.to_step_index
    refuse_if(run.is_over, "RUN_NOT_RUNNING")
    refuse_if(target not in run.planned or target >= run.step, "STEP_NOT_BEHIND")
    lots = world.lots_of(command.run_id).values()
    refuse_if(any(lot.step > target and lot.status != "REJECTED" for lot in lots), "LIVE_LOTS_AHEAD")
    run.steps |= {index: "PENDING" for index in run.planned if index > target} | {target: "IN_PROGRESS"}
    run.step = target
    return _done(command, run)


def _hold(command: Any, world: World) -> Done:
    return _move(command, world, "RUNNING", "HOLD")


def _resume(command: Any, world: World) -> Done:
    return _move(command, world, "HOLD", "RUNNING")


def _abort(command: Any, world: World) -> Done:
    done = _move(command, world, "RUNNING HOLD", "ABORTED")
    run = world.runs[command.run_id]
    run.steps |= {index: "SKIPPED" for index, status in run.steps.items() if status != "COMPLETED"}
    return done


def _archive(command: Any, world: World) -> Done:
    over = present(command.run_id, world).status in ("COMPLETED", "ABORTED")
    refuse_if(over and world.kept_days > 0, "RETENTION_NOT_PASSED")
    return _move(command, world, "COMPLETED ABORTED", "ARCHIVED")


def _move(command: Any, world: World, sources: str, target: str) -> Done:
    run = present(command.run_id, world)
    refuse_if(run.status not in sources.split(), "RUN_ILLEGAL_MOVE")
    run.status = target
    return _done(command, run)


def _done(command: Any, run: Run, *lots: Any) -> Done:
    run.changed_by.append(command.idempotency_key)
    return Done({command.target_run, *lots}, {"run_status": run.status, "current_step_index": run.step})


ACTS_ON_RUNS = {
    "start_run": _start,
    "advance_step": _advance,
    "complete_run": _complete,
    "rollback_step": _roll_back,
    "hold_run": _hold,
    "resume_run": _resume,
    "abort_run": _abort,
    "archive_run": _archive,
}
