"""Loading: one SELECT a table over the whole batch, runs locked in id order so that batches never deadlock."""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, and_, case, func, null, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.types import NullType

from runworker.engine.arrays import Uuids, any_of
from runworker.errors import Rejected
from runworker.handlers.facts import Run, Step, Version
from runworker.models import FlowVersion, ProductionRun, RunStepExecution, User
from runworker.plan import Plan, read_plan
from runworker.states import FlowVersionStatus, RunStatus, StepExecutionStatus, UserRole

_ids = any_of("ids")

_USERS = select(User.id, User.role).where(User.id == _ids)

# In the order of the fields of `Run`.
_RUNS = (
    select(
        ProductionRun.id,
        ProductionRun.status,
        ProductionRun.flow_version_id,
        ProductionRun.current_step_index,
        ProductionRun.started_at,
        ProductionRun.run_code,
        ProductionRun.scenario_id,
        ProductionRun.operator_id,
        ProductionRun.started_by,
        ProductionRun.daily_target_kg,
        ProductionRun.completed_at,
        ProductionRun.ended_at,
        ProductionRun.idempotency_key,
        ProductionRun.status_reason,
    )
    .where(ProductionRun.id == _ids)
    .order_by(ProductionRun.id)
    .with_for_update()
)

# A row for each run, with an array for each field of `Step`: to read eleven rows would take twice the time. NullType:
# SQLAlchemy would look at each element.
_STEPS = (
    select(
        RunStepExecution.run_id,
        *(
            func.array_agg(aggregate_order_by(column, RunStepExecution.step_index), type_=NullType())
            for column in (
                RunStepExecution.step_index,
                RunStepExecution.node_id,
                RunStepExecution.status,
                RunStepExecution.started_at,
                RunStepExecution.completed_at,
                RunStepExecution.operator_id,
            )
        ),
    )
    .where(RunStepExecution.run_id == _ids)
    .group_by(RunStepExecution.run_id)
)

_VERSIONS = (
    select(
        FlowVersion.id,
        FlowVersion.flow_definition_id,
        FlowVersion.status,
        FlowVersion.version_num,
        FlowVersion.reviewed_by,
        FlowVersion.published_by,
        FlowVersion.published_at,
        case((FlowVersion.id == any_of("known"), null()), else_=FlowVersion.graph_schema),
    )
    .where(
        or_(
            FlowVersion.id == _ids,
            and_(
                FlowVersion.flow_definition_id == any_of("flows"),
                FlowVersion.status == FlowVersionStatus.PUBLISHED.value,
            ),
        )
    )
    .order_by(FlowVersion.id)
)
_FLOWS = select(FlowVersion.flow_definition_id).where(FlowVersion.id == _ids).distinct()
_UNFINISHED = (
    select(ProductionRun.flow_version_id, func.count())
    .where(
        ProductionRun.flow_version_id == _ids,
        ProductionRun.status.in_([RunStatus.IDLE.value, RunStatus.RUNNING.value, RunStatus.HOLD.value]),
    )
    .group_by(ProductionRun.flow_version_id)
)

_RUN_STATUSES: Final = {str(status): status for status in RunStatus}
_STEP_STATUSES: Final = {str(status): status for status in StepExecutionStatus}

_MOST_PLANS: Final = 256


class Plans:
    """Plans of versions that cannot change any more, kept so that a graph is read once a process."""

    def __init__(self) -> None:
        self._plans: dict[UUID, Plan | Rejected] = {}

    def known(self, ids: Collection[UUID]) -> dict[UUID, Plan | Rejected]:
        """What is kept of `ids`: their graphs need not be fetched."""
        return {id_: plan for id_ in ids if (plan := self._plans.get(id_)) is not None}

    def read(self, version_id: UUID, status: FlowVersionStatus, graph: object) -> Plan | Rejected:
        """The plan of this graph, or the rejection that says what is wrong with it."""
        plan: Plan | Rejected
        try:
            plan = read_plan(graph)
        except Rejected as rejection:
            plan = rejection
        if status in (FlowVersionStatus.PUBLISHED, FlowVersionStatus.DEPRECATED):
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[version_id] = plan
        return plan


def load_users(connection: Connection, ids: Collection[UUID]) -> dict[UUID, UserRole]:
    """Roles of the users that exist."""
    return {id_: UserRole(role) for id_, role in connection.execute(_USERS, {"ids": Uuids(ids)})} if ids else {}


def load_flows(connection: Connection, version_ids: Collection[UUID]) -> list[UUID]:
    """The flows that these versions belong to."""
    return list(connection.execute(_FLOWS, {"ids": Uuids(version_ids)}).scalars()) if version_ids else []


def load_versions(
    connection: Connection,
    ids: Collection[UUID],
    plans: Plans,
    flows: Collection[UUID] = (),
    *,
    to_change: bool = False,
) -> dict[UUID, Version]:
    """The flow versions that exist, and the PUBLISHED ones of `flows`, with their plans.

    Their rows are locked, to be changed or else shared: a version that a run is being pinned to cannot be withdrawn
    before the run is there to be seen.
    """
    if not ids and not flows:
        return {}
    known = plans.known(ids)
    versions = {}
    rows = connection.execute(
        _VERSIONS.with_for_update(read=not to_change), {"ids": list(ids), "known": list(known), "flows": list(flows)}
    )
    for id_, flow, state, number, reviewer, publisher, published_at, graph in rows:
        status = FlowVersionStatus(state)
        plan = known.get(id_) or plans.read(id_, status, graph)
        versions[id_] = Version(id_, flow, status, number, plan, reviewer, publisher, published_at)
    return versions


def count_unfinished_runs(connection: Connection, version_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many unfinished runs are pinned to each version. To be asked once the versions are locked."""
    if not version_ids:
        return {}
    return {id_: count for id_, count in connection.execute(_UNFINISHED, {"ids": Uuids(version_ids)}) if id_}


def load_runs(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Run]:
    """The runs that exist, locked, with their steps."""
    if not ids:
        return {}
    rows = connection.execute(_RUNS, {"ids": Uuids(ids)}).all()
    if not rows:
        return {}
    found: Any = connection.execute(_STEPS, {"ids": Uuids([row[0] for row in rows])})
    steps = {
        run_id: tuple(map(Step, indices, nodes, map(_STEP_STATUSES.__getitem__, states), *others))
        for run_id, indices, nodes, states, *others in found
    }
    return {row[0]: Run(row[0], _RUN_STATUSES[row[1]], *row[2:], steps=steps.get(row[0], ())) for row in rows}
