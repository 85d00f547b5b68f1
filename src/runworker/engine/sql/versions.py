"""Flow versions and their plans: how they are locked and loaded, and how their state is written."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Table, and_, case, null, or_, select

from runworker.engine.sql.arrays import Uuids, any_of
from runworker.engine.sql.writes import FROM_STATUS, Row, update_rows
from runworker.errors import Rejected
from runworker.handlers.facts import VersionFact
from runworker.models import FlowVersion
from runworker.plan import Plan, read_plan
from runworker.states import UNCHANGING_VERSIONS, FlowVersionStatus

_versions: Final[Table] = FlowVersion.metadata.tables["flow_versions"]
_ids = any_of("ids")

_LOAD = (
    select(
        _versions.c.id,
        _versions.c.flow_definition_id,
        _versions.c.status,
        _versions.c.version_num,
        _versions.c.reviewed_by,
        _versions.c.published_by,
        _versions.c.published_at,
        case((_versions.c.id == any_of("known"), null()), else_=_versions.c.graph_schema),
    )
    .where(
        or_(
            _versions.c.id == _ids,
            and_(
                _versions.c.flow_definition_id == any_of("flows"),
                _versions.c.status == FlowVersionStatus.PUBLISHED.value,
            ),
        )
    )
    .order_by(_versions.c.id)
)
_FLOWS = select(_versions.c.flow_definition_id).where(_versions.c.id == _ids).distinct()

_CHANGED = ("reviewed_by", "published_by", "published_at")

UPDATE_VERSIONS: Final = update_rows(
    _versions, ("id", "status", *_CHANGED, "command_key", FROM_STATUS), ["id"], _CHANGED
)

_MOST_PLANS: Final = 256


class Plans:
    """Plans of versions that cannot change any more, kept so that a process reads a graph once."""

    def __init__(self) -> None:
        self._plans: dict[UUID, Plan | Rejected] = {}

    def known(self, ids: Collection[UUID]) -> dict[UUID, Plan | Rejected]:
        """The plans kept of `ids`: their graphs need not be fetched."""
        return {id_: plan for id_ in ids if (plan := self._plans.get(id_)) is not None}

    def read(self, version_id: UUID, status: FlowVersionStatus, graph: object) -> Plan | Rejected:
        """The plan of this graph, or the rejection that says what is wrong with it."""
        plan: Plan | Rejected
        try:
            plan = read_plan(graph)
        except Rejected as rejection:
            plan = rejection
        if status in UNCHANGING_VERSIONS:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[version_id] = plan
        return plan


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
) -> dict[UUID, VersionFact]:
    """The flow versions that exist, and the PUBLISHED ones of `flows`, with their plans.

    Their rows are locked, to be changed or else shared: a version that a run is being pinned to cannot be withdrawn
    before the run is there to be seen.
    """
    if not ids and not flows:
        return {}
    known = plans.known(ids)
    versions = {}
    rows = connection.execute(
        _LOAD.with_for_update(read=not to_change), {"ids": list(ids), "known": list(known), "flows": list(flows)}
    )
    for id_, flow, state, number, reviewer, publisher, published_at, graph in rows:
        status = FlowVersionStatus(state)
        plan = known.get(id_) or plans.read(id_, status, graph)
        versions[id_] = VersionFact(id_, flow, status, number, plan, reviewer, publisher, published_at)
    return versions


def version_row(version: VersionFact, before: VersionFact, command_key: UUID) -> Row:
    """A row of flow_versions, and the state that it must still be in."""
    return (
        version.id,
        version.status,
        version.reviewed_by,
        version.published_by,
        version.published_at,
        command_key,
        before.status,
    )
