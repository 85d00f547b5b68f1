"""What the database says of the demo's runs, read back as it is. Nothing is judged here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Text, Uuid, any_, literal, or_, select
from sqlalchemy.sql.elements import CollectionAggregate

from runworker.demo.script import Claim
from runworker.models import AuditEvent, CommandRecord, DeadLetter, FlowVersion, ProductionRun, RunStepExecution


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of production_runs."""

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
    """A row of run_step_executions."""

    run_id: UUID
    step_index: int
    node_id: str
    status: str
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A row of commands."""

    idempotency_key: UUID
    run_id: UUID | None
    status: str
    code: str | None
    verdict: Mapping[str, Any] | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of audit_events. status and step_index: what the entity became; None where it has none, as steps have."""

    entity: str
    entity_id: UUID
    command_key: UUID | None
    status: str | None
    step_index: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the database has on a number of runs and on the flow versions they follow.

    versions: status by id; one that is gone is absent. runs: also such as are pinned to the versions and were not
    asked for. events: in the order in which they happened to each entity. dead_letters: a line each.
    """

    versions: Mapping[UUID, str]
    runs: tuple[RunRow, ...]
    steps: tuple[StepRow, ...]
    ledger: tuple[LedgerRow, ...]
    events: tuple[EventRow, ...]
    dead_letters: tuple[str, ...]


def read_evidence(connection: Connection, claim: Claim, *, queue: str) -> Evidence:
    """Read all there is on what is claimed. queue: the one that the messages went through."""
    runs = [life.run_id for life in claim.lives]
    versions = select(FlowVersion.id, FlowVersion.status).where(FlowVersion.id == one_of(claim.versions))
    return Evidence(
        versions={row.id: row.status for row in connection.execute(versions)},
        runs=_runs(connection, runs, claim.versions),
        steps=_steps(connection, runs),
        ledger=_ledger(connection, runs, claim.scripted),
        events=read_events(connection, runs),
        dead_letters=_dead_letters(connection, claim.scripted, queue),
    )


def _runs(connection: Connection, runs: Collection[UUID], versions: Collection[UUID]) -> tuple[RunRow, ...]:
    found = select(
        ProductionRun.id,
        ProductionRun.run_code,
        ProductionRun.flow_version_id,
        ProductionRun.status,
        ProductionRun.current_step_index,
        ProductionRun.started_at,
        ProductionRun.completed_at,
        ProductionRun.ended_at,
        ProductionRun.idempotency_key,
    ).where(or_(ProductionRun.id == one_of(runs), ProductionRun.flow_version_id == one_of(versions)))
    return tuple(RunRow(*row) for row in connection.execute(found))


def _steps(connection: Connection, runs: Collection[UUID]) -> tuple[StepRow, ...]:
    found = (
        select(
            RunStepExecution.run_id,
            RunStepExecution.step_index,
            RunStepExecution.node_id,
            RunStepExecution.status,
            RunStepExecution.started_at,
            RunStepExecution.completed_at,
        )
        .where(RunStepExecution.run_id == one_of(runs))
        .order_by(RunStepExecution.run_id, RunStepExecution.step_index)
    )
    return tuple(StepRow(*row) for row in connection.execute(found))


def _ledger(connection: Connection, runs: Collection[UUID], keys: Collection[UUID]) -> tuple[LedgerRow, ...]:
    found = select(
        CommandRecord.idempotency_key,
        CommandRecord.run_id,
        CommandRecord.status,
        CommandRecord.code,
        CommandRecord.verdict,
        CommandRecord.deliveries,
    ).where(or_(CommandRecord.idempotency_key == one_of(keys), CommandRecord.run_id == one_of(runs)))
    return tuple(LedgerRow(*row) for row in connection.execute(found))


def read_events(connection: Connection, ids: Collection[UUID]) -> tuple[EventRow, ...]:
    """The audit events of these entities, in the order in which they happened."""
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


def one_of(ids: Collection[UUID]) -> CollectionAggregate[Any]:
    """What a column is compared with that has to be one of these ids."""
    # As one array: a list of parameters may not hold more than 65535.
    return any_(literal(list(ids), ARRAY(Uuid)))
