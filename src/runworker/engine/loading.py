"""Loading: one SELECT a table over the whole batch, runs locked in id order so that batches never deadlock."""

from collections import defaultdict
from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Uuid, bindparam, case, func, null, select

from runworker.errors import Rejected
from runworker.handlers.facts import Run, Step, Version
from runworker.models import FlowVersion, ProductionRun, RunStepExecution, User
from runworker.plan import Plan, read_plan
from runworker.states import FlowVersionStatus, RunStatus, StepExecutionStatus, UserRole

_ids = func.any(bindparam("ids", type_=ARRAY(Uuid)))

_USERS = select(User.id, User.role).where(User.id == _ids)

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

_STEPS = (
    select(
        RunStepExecution.run_id,
        RunStepExecution.step_index,
        RunStepExecution.node_id,
        RunStepExecution.status,
        RunStepExecution.started_at,
        RunStepExecution.completed_at,
        RunStepExecution.operator_id,
    )
    .where(RunStepExecution.run_id == _ids)
    .order_by(RunStepExecution.run_id, RunStepExecution.step_index)
)

# Shared lock: a version that a run is being pinned to cannot be withdrawn before the run is there to be seen.
_VERSIONS = (
    select(
        FlowVersion.id,
        FlowVersion.status,
        FlowVersion.version_num,
        case(
            (FlowVersion.id == func.any(bindparam("known", type_=ARRAY(Uuid))), null()), else_=FlowVersion.graph_schema
        ),
    )
    .where(FlowVersion.id == _ids)
    .order_by(FlowVersion.id)
    .with_for_update(read=True)
)

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
    return {id_: UserRole(role) for id_, role in connection.execute(_USERS, {"ids": list(ids)})} if ids else {}


def load_versions(connection: Connection, ids: Collection[UUID], plans: Plans) -> dict[UUID, Version]:
    """The flow versions that exist, with their plans."""
    if not ids:
        return {}
    known = plans.known(ids)
    versions = {}
    for id_, state, number, graph in connection.execute(_VERSIONS, {"ids": list(ids), "known": list(known)}):
        status = FlowVersionStatus(state)
        versions[id_] = Version(id_, status, number, known.get(id_) or plans.read(id_, status, graph))
    return versions


def load_runs(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Run]:
    """The runs that exist, locked, with their steps."""
    if not ids:
        return {}
    rows = connection.execute(_RUNS, {"ids": list(ids)}).all()
    steps: dict[UUID, list[Step]] = defaultdict(list)
    if rows:
        for run_id, index, node_id, status, begun, done, operator in connection.execute(
            _STEPS, {"ids": [row.id for row in rows]}
        ):
            steps[run_id].append(Step(index, node_id, StepExecutionStatus(status), begun, done, operator))
    return {
        row.id: Run(**{**row._mapping, "status": RunStatus(row.status)}, steps=tuple(steps[row.id])) for row in rows
    }
