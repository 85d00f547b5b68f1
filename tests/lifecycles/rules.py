"""The rules of a run, told once more: who may do what, when it is too early, and what it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runworker.commands import Command

MAY: Mapping[str, str] = {
    "start_run": "ADMIN MANAGER OPERATOR",
    "advance_step": "ADMIN MANAGER OPERATOR",
    "hold_run": "ADMIN MANAGER OPERATOR AUDITOR",
    "resume_run": "ADMIN MANAGER",
    "complete_run": "ADMIN MANAGER OPERATOR",
    "abort_run": "ADMIN MANAGER",
}


@dataclass
class Run:
    """A run: its steps' states by index, and the keys of the commands that changed it, in order."""

    version: UUID
    steps: dict[int, str]
    status: str = "RUNNING"
    step: int = 0
    changed_by: list[UUID] = field(default_factory=list)


class Refused(Exception):
    """A rule says no; the text is its code."""


class Early(Exception):
    """Not its turn. told: what it waits for, as the sender reads it; waits_for: the ids."""

    def __init__(self, told: Mapping[str, Any], waits_for: set[UUID]) -> None:
        super().__init__(told)
        self.told = told
        self.waits_for = waits_for


def judge(
    command: Command,
    users: Mapping[UUID, str],
    versions: Mapping[UUID, Sequence[int] | str],
    runs: dict[UUID, Run],
) -> Run:
    """Let the command act on its run, and return that. Raises Refused or Early."""
    _refuse_if(command.issued_by not in users, "UNKNOWN_USER")
    _refuse_if(users[command.issued_by] not in MAY[command.name].split(), "ROLE_NOT_ALLOWED")
    run_id = command.target_run
    if command.name == "start_run":
        _refuse_if(run_id in runs, "RUN_ALREADY_EXISTS")
        plan = versions.get(command.flow_version_id, "UNKNOWN_FLOW_VERSION")
        _refuse_if(isinstance(plan, str), plan)
        runs[run_id] = Run(command.flow_version_id, {i: "PENDING" if i in plan else "SKIPPED" for i in range(11)})
        runs[run_id].steps[0] = "IN_PROGRESS"
    elif run_id not in runs:
        raise Early({"run_id": str(run_id)}, {run_id})
    else:
        _change(command, runs[run_id])
    return runs[run_id]


def _change(command: Command, run: Run) -> None:
    finished = run.status in ("COMPLETED", "ABORTED")
    planned = [index for index, status in run.steps.items() if status != "SKIPPED"]
    match command.name:
        case "advance_step":
            target = command.to_step_index
            _refuse_if(finished, "RUN_NOT_RUNNING")
            _refuse_if(target not in planned, "STEP_NOT_PLANNED")
            _refuse_if(target <= run.step, "STEP_ALREADY_PASSED")
            _wait_until_at(run, planned[planned.index(target) - 1], command)
            _refuse_if(run.status == "HOLD", "RUN_ON_HOLD")
            run.steps |= {run.step: "COMPLETED", target: "IN_PROGRESS"}
            run.step = target
        case "complete_run":
            _refuse_if(finished, "RUN_NOT_RUNNING")
            _wait_until_at(run, planned[-1], command)
            _refuse_if(run.status == "HOLD", "RUN_ON_HOLD")
            run.steps[run.step] = "COMPLETED"
            run.status = "COMPLETED"
        case "hold_run":
            _refuse_if(run.status != "RUNNING", "RUN_ILLEGAL_MOVE")
            run.status = "HOLD"
        case "resume_run":
            _refuse_if(run.status != "HOLD", "RUN_ILLEGAL_MOVE")
            run.status = "RUNNING"
        case "abort_run":
            _refuse_if(finished, "RUN_ILLEGAL_MOVE")
            run.status = "ABORTED"
            run.steps |= {index: "SKIPPED" for index, status in run.steps.items() if status != "COMPLETED"}


def _refuse_if(condition: bool, code: str) -> None:
    if condition:
        raise Refused(code)


def _wait_until_at(run: Run, step: int, command: Command) -> None:
    if run.step != step:
        raise Early({"run_id": str(command.target_run), "current_step_index": step}, {command.target_run})
