"""Writing: what changed, set-wise.

A batch may change one run several times (start, advance, advance). Every change is written, so that every move passes
the database's guards and leaves its audit event; changes that do not build on each other share a statement. So the
number of statements grows with the longest chain of changes of one run and not with the batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, DateTime, Integer, Numeric, Text, Update, Uuid, insert, select, update
from sqlalchemy.sql.dml import Insert

from runworker.engine.database import given, rows_given
from runworker.handlers.facts import Run, Step
from runworker.models import ProductionRun, RunStepExecution

_time = DateTime(timezone=True)

_run = given(
    id=Uuid(), run_code=Text(), flow_version_id=Uuid(), scenario_id=Uuid(), operator_id=Uuid(), started_by=Uuid(),
    status=Text(), current_step_index=Integer(), daily_target_kg=Numeric(), started_at=_time, completed_at=_time,
    ended_at=_time, idempotency_key=Uuid(), status_reason=Text(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip
_step = given(
    run_id=Uuid(), step_index=Integer(), node_id=Text(), status=Text(), started_at=_time, completed_at=_time,
    operator_id=Uuid(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip

_INSERT_RUNS = insert(ProductionRun).from_select(
    [column.name for column in _run.c if column.name != "from_status"],
    select(*(column for column in _run.c if column.name != "from_status")),
    include_defaults=False,
)
_INSERT_STEPS = insert(RunStepExecution).from_select(
    [column.name for column in _step.c if column.name != "from_status"],
    select(*(column for column in _step.c if column.name != "from_status")),
    include_defaults=False,
)
_UPDATE_RUNS = (
    update(ProductionRun)
    .where(ProductionRun.id == _run.c.id, ProductionRun.status == _run.c.from_status)
    .values(
        {
            name: _run.c[name]
            for name in (
                "flow_version_id", "operator_id", "started_by", "status", "current_step_index", "started_at",
                "completed_at", "ended_at", "status_reason", "command_key",
            )
        }
    )
)  # fmt: skip
_UPDATE_STEPS = (
    update(RunStepExecution)
    .where(
        RunStepExecution.run_id == _step.c.run_id,
        RunStepExecution.step_index == _step.c.step_index,
        RunStepExecution.status == _step.c.from_status,
    )
    .values({name: _step.c[name] for name in ("status", "started_at", "completed_at", "operator_id", "command_key")})
)


@dataclass(frozen=True, slots=True)
class Change:
    """A run before and after one command. before is None for a new run."""

    command_key: UUID
    before: Run | None
    after: Run


def write_changes(connection: Connection, changes: Iterable[Change], run_codes: Mapping[UUID, str]) -> None:
    """Write all changes, in waves in which no run occurs twice. run_codes: codes of new runs by run id."""
    for wave in _waves(changes):
        new_runs: list[dict[str, Any]] = []
        changed_runs: list[dict[str, Any]] = []
        new_steps: list[dict[str, Any]] = []
        changed_steps: list[dict[str, Any]] = []
        for change in wave:
            (changed_runs if change.before else new_runs).append(_run_row(change, run_codes))
            before = {step.step_index: step for step in change.before.steps} if change.before else {}
            for step in change.after.steps:
                if step.step_index not in before:
                    new_steps.append(_step_row(change, step, None))
                elif step != before[step.step_index]:
                    changed_steps.append(_step_row(change, step, before[step.step_index]))
        _execute(connection, _INSERT_RUNS, new_runs)
        _execute(connection, _UPDATE_RUNS, changed_runs)
        _execute(connection, _INSERT_STEPS, new_steps)
        _execute(connection, _UPDATE_STEPS, changed_steps)


def _waves(changes: Iterable[Change]) -> list[list[Change]]:
    waves: list[list[Change]] = []
    changes_so_far: dict[UUID, int] = {}
    for change in changes:
        number = changes_so_far.get(change.after.id, 0)
        changes_so_far[change.after.id] = number + 1
        if number == len(waves):
            waves.append([])
        waves[number].append(change)
    return waves


def _run_row(change: Change, run_codes: Mapping[UUID, str]) -> dict[str, Any]:
    run = change.after
    return {
        "id": run.id,
        "run_code": run.run_code or run_codes[run.id],
        "flow_version_id": run.flow_version_id,
        "scenario_id": run.scenario_id,
        "operator_id": run.operator_id,
        "started_by": run.started_by,
        "status": str(run.status),
        "current_step_index": run.current_step_index,
        "daily_target_kg": run.daily_target_kg,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "ended_at": run.ended_at,
        "idempotency_key": run.idempotency_key,
        "status_reason": run.status_reason,
        "command_key": change.command_key,
        "from_status": str(change.before.status) if change.before else None,
    }


def _step_row(change: Change, step: Step, before: Step | None) -> dict[str, Any]:
    return {
        "run_id": change.after.id,
        "step_index": step.step_index,
        "node_id": step.node_id,
        "status": str(step.status),
        "started_at": step.started_at,
        "completed_at": step.completed_at,
        "operator_id": step.operator_id,
        "command_key": change.command_key,
        "from_status": str(before.status) if before else None,
    }


def _execute(connection: Connection, statement: Insert | Update, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    result = connection.execute(statement, rows_given(rows))
    if isinstance(statement, Update) and result.rowcount != len(rows):
        raise RuntimeError(f"{result.rowcount} of {len(rows)} locked rows were still in the state they were read in")
