"""Runs and their steps: how they are locked and loaded, and how they are written. A column stands here once."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.types import NullType

from runworker.engine.sql.arrays import Uuids, any_of
from runworker.engine.sql.writes import FROM_STATUS, Row, insert_rows, update_rows
from runworker.handlers.facts import RunFact, StepFact
from runworker.ids import new_id
from runworker.models import ProductionRun, RunStepExecution
from runworker.states import UNFINISHED_RUNS, RunStatus, StepExecutionStatus

_runs: Final[Table] = ProductionRun.metadata.tables["production_runs"]
_steps: Final[Table] = RunStepExecution.metadata.tables["run_step_executions"]
_ids = any_of("ids")

_RUN_FIELDS: Final = [name for name in RunFact._fields if name in _runs.c]
_STEP_FIELDS: Final = list(StepFact._fields)
"""Columns that are facts, in the order of the facts' fields."""

_LOAD_RUNS = (
    select(*(_runs.c[name] for name in _RUN_FIELDS))
    .where(_runs.c.id == _ids)
    .order_by(_runs.c.id)
    .with_for_update()
)  # fmt: skip

# A row for each run, with an array for each field of a step: to read eleven rows would take twice the time. NullType:
# SQLAlchemy would look at each element.
_LOAD_STEPS = (
    select(
        _steps.c.run_id,
        *(
            func.array_agg(aggregate_order_by(_steps.c[name], _steps.c.step_index), type_=NullType())
            for name in _STEP_FIELDS
        ),
    )
    .where(_steps.c.run_id == _ids)
    .group_by(_steps.c.run_id)
)

_COUNT_UNFINISHED = (
    select(_runs.c.flow_version_id, func.count())
    .where(_runs.c.flow_version_id == _ids, _runs.c.status.in_(sorted(status.value for status in UNFINISHED_RUNS)))
    .group_by(_runs.c.flow_version_id)
)

_RUN_COLUMNS = ("command_key", FROM_STATUS, *_RUN_FIELDS)
_STEP_COLUMNS = ("id", "run_id", "command_key", FROM_STATUS, *_STEP_FIELDS)
_NEVER_CHANGES: Final = {"id", "run_code", "scenario_id", "daily_target_kg", "idempotency_key"}

INSERT_RUNS: Final = insert_rows(_runs, _RUN_COLUMNS)
UPDATE_RUNS: Final = update_rows(
    _runs, _RUN_COLUMNS, ["id"], [name for name in _RUN_FIELDS if name not in _NEVER_CHANGES]
)
INSERT_STEPS: Final = insert_rows(_steps, _STEP_COLUMNS)
UPDATE_STEPS: Final = update_rows(
    _steps, _STEP_COLUMNS, ["run_id", "step_index"], ["started_at", "completed_at", "operator_id"]
)

_RUN_STATUSES: Final = {str(status): status for status in RunStatus}
_STEP_STATUSES: Final = {str(status): status for status in StepExecutionStatus}


def load_runs(connection: Connection, ids: Collection[UUID]) -> dict[UUID, RunFact]:
    """The runs that exist, locked in the order of their ids, with their steps."""
    if not ids:
        return {}
    rows = connection.execute(_LOAD_RUNS, {"ids": Uuids(ids)}).all()
    if not rows:
        return {}
    found: Any = connection.execute(_LOAD_STEPS, {"ids": Uuids([row[0] for row in rows])})
    steps = {
        run_id: tuple(map(StepFact, indices, nodes, map(_STEP_STATUSES.__getitem__, states), *others))
        for run_id, indices, nodes, states, *others in found
    }
    # Behind the columns: `new_at_site`, which a run that is there does not have, and the steps.
    return {
        row[0]: RunFact._make((row[0], _RUN_STATUSES[row[1]], *row[2:], None, steps.get(row[0], ()))) for row in rows
    }


def count_unfinished_runs(connection: Connection, version_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many unfinished runs are pinned to each version. To be asked once the versions are locked."""
    if not version_ids:
        return {}
    return {id_: count for id_, count in connection.execute(_COUNT_UNFINISHED, {"ids": Uuids(version_ids)}) if id_}


def run_row(run: RunFact, before: RunFact | None, command_key: UUID, codes: Mapping[UUID, str]) -> Row:
    """A row of production_runs, and the state that it must still be in. codes: of new runs, by id."""
    if run.run_code is None:
        run = run._replace(run_code=codes[run.id])
    return command_key, before.status if before else None, *run[: len(_RUN_FIELDS)]


def step_row(run: RunFact, step: StepFact, before: StepFact | None, command_key: UUID) -> Row:
    """A row of run_step_executions. Rows that are there keep their ids."""
    return None if before else new_id(), run.id, command_key, before.status if before else None, *step
