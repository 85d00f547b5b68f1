"""Reads back what the database says of a scenario, as it is. Nothing is judged here.

Each row's class names the columns that are read.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Connection, Text, Uuid, any_, literal, or_, select
from sqlalchemy.sql.elements import CollectionAggregate

from runworker.models import (
    AuditEvent,
    Base,
    CommandRecord,
    DeadLetter,
    FlowVersion,
    Lot,
    LotGenealogy,
    ProductionRun,
    QCDecision,
    RunStepExecution,
)
from runworker.simulation.scenario import BuiltScenario
from runworker.tracing import Containing, NotFound, recall

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class VersionRow:
    """Columns of flow_versions."""

    id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """Columns of production_runs."""

    id: UUID
    run_code: str
    flow_version_id: UUID | None
    status: str
    current_step_index: int
    started_at: datetime
    completed_at: datetime | None
    ended_at: datetime | None
    idempotency_key: UUID | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """Columns of run_step_executions."""

    run_id: UUID
    step_index: int
    node_id: str
    status: str
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CommandRow:
    """Columns of commands."""

    idempotency_key: UUID
    run_id: UUID | None
    status: str
    code: str | None
    verdict: Mapping[str, Any] | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class LotRow:
    """Columns of lots."""

    id: UUID
    lot_code: str
    lot_type: str | None
    status: str
    production_run_id: UUID | None
    step_index: int | None
    weight_kg: Decimal | None
    sku_type: str | None
    supplier_id: UUID | None
    temperature_c: Decimal | None


@dataclass(frozen=True, slots=True)
class LinkRow:
    """Columns of lot_genealogy."""

    id: UUID
    parent_lot_id: UUID
    child_lot_id: UUID
    quantity_used_kg: Decimal


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """Columns of qc_decisions."""

    id: UUID
    lot_id: UUID
    decision: str
    operator_id: UUID | None
    notes: str | None
    temperature_c: Decimal | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """Of audit_events. status and step_index: what the entity became; None where it has none, as steps have."""

    entity: str
    entity_id: UUID
    command_key: UUID | None
    status: str | None
    step_index: int | None


@dataclass(frozen=True, slots=True)
class RecallResult:
    """Ids that a recall found: of the lots that contain the recalled one, itself included, and shipments among them."""

    lot_code: str
    containing: frozenset[UUID]
    shipments: frozenset[UUID]


@dataclass(frozen=True)
class DatabaseState:
    """Everything the database has on a scenario.

    versions: those that runs follow. runs: also such as are pinned to the versions and were not asked for. lots: of
    the runs. links: from and to those lots. events: in the order in which they happened to each entity. dead_letters: a
    line each. recalled: None where there is no lot to recall.
    """

    versions: tuple[VersionRow, ...]
    runs: tuple[RunRow, ...]
    steps: tuple[StepRow, ...]
    ledger: tuple[CommandRow, ...]
    events: tuple[EventRow, ...]
    dead_letters: tuple[str, ...]
    lots: tuple[LotRow, ...]
    links: tuple[LinkRow, ...]
    decisions: tuple[DecisionRow, ...]
    recalled: RecallResult | None

    @cached_property
    def verdicts(self) -> Mapping[UUID, Mapping[str, Any]]:
        """Verdicts in the ledger, by key."""
        return {row.idempotency_key: row.verdict or {} for row in self.ledger}


def read_state(connection: Connection, scenario: BuiltScenario, *, queue: str) -> DatabaseState:
    """Read all there is on a scenario. queue: the one that its messages went through."""
    runs, keys = [run.run_id for run in scenario.runs], scenario.planned
    lots = _read(connection, LotRow, Lot, or_(Lot.production_run_id == one_of(runs), Lot.id == one_of(scenario.lots)))
    ids = [lot.id for lot in lots]
    among = or_(LotGenealogy.parent_lot_id == one_of(ids), LotGenealogy.child_lot_id == one_of(ids))
    links = _read(connection, LinkRow, LotGenealogy, among)
    decisions = _read(connection, DecisionRow, QCDecision, QCDecision.lot_id == one_of(ids))
    made = [*(link.id for link in links), *(decision.id for decision in decisions)]
    pinned = or_(ProductionRun.id == one_of(runs), ProductionRun.flow_version_id == one_of(scenario.versions))
    sent = or_(CommandRecord.idempotency_key == one_of(keys), CommandRecord.run_id == one_of(runs))
    return DatabaseState(
        versions=_read(connection, VersionRow, FlowVersion, FlowVersion.id == one_of(scenario.versions)),
        runs=_read(connection, RunRow, ProductionRun, pinned),
        steps=_read(connection, StepRow, RunStepExecution, RunStepExecution.run_id == one_of(runs)),
        ledger=_read(connection, CommandRow, CommandRecord, sent),
        events=_events(connection, [*runs, *ids, *made, *scenario.version_trails]),
        dead_letters=_dead_letters(connection, keys, queue),
        lots=lots,
        links=links,
        decisions=decisions,
        recalled=next((_recall(connection, lot.lot_code) for lot in lots if lot.id == scenario.recalled), None),
    )


def one_of(ids: Collection[UUID]) -> CollectionAggregate[Any]:
    """Makes the operand for a column that has to equal one of these ids."""
    # As one array: a list of parameters may not hold more than 65535.
    return any_(literal(list(ids), ARRAY(Uuid)))


def _read(
    connection: Connection, kind: type[Row], table: type[Base], condition: ColumnElement[bool]
) -> tuple[Row, ...]:
    columns = [getattr(table, field.name) for field in fields(kind)]  # type: ignore[arg-type]  # all are dataclasses
    return tuple(kind(*row) for row in connection.execute(select(*columns).where(condition)))


def _events(connection: Connection, ids: Collection[UUID]) -> tuple[EventRow, ...]:
    # The steps' event holds an object for each step, in which these two names lead nowhere.
    found = (
        select(
            AuditEvent.entity,
            AuditEvent.entity_id,
            AuditEvent.command_key,
            AuditEvent.after["status"].as_string(),
            AuditEvent.after["current_step_index"].as_integer(),
        )
        .where(AuditEvent.entity_id == one_of(ids))
        .order_by(AuditEvent.id)
    )
    return tuple(EventRow(*row) for row in connection.execute(found))


def _dead_letters(connection: Connection, keys: Collection[UUID], queue: str) -> tuple[str, ...]:
    found = select(DeadLetter.id, DeadLetter.task_name, DeadLetter.code, DeadLetter.error).where(
        or_(
            DeadLetter.task_id == any_(literal([str(key) for key in keys], ARRAY(Text))),
            DeadLetter.headers["queue"].as_string() == queue,
        )
    )
    return tuple(f"{row.id} ({row.task_name}, {row.code}): {row.error}" for row in connection.execute(found))


def _recall(connection: Connection, code: str) -> RecallResult | None:
    try:
        found = recall(connection, code)
    except NotFound:
        return None
    containing = {kind: frozenset(lot.id for lot in lots) for kind, lots in found.containing.items()}
    return RecallResult(code, frozenset().union(*containing.values()), containing[Containing.SHIPMENT])
