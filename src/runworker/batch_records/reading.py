"""Reading a run's whole record, in one snapshot."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, func, select

from runworker.batch_records.reading_audit import read_events, read_summary
from runworker.batch_records.reading_commands import read_commands
from runworker.batch_records.run_record import DecisionRecord, FlowFacts, Person, RunRecord, StepRecord
from runworker.canonical import CANONICAL_STEPS
from runworker.errors import Rejected
from runworker.models import (
    FlowDefinition,
    FlowVersion,
    Lot,
    ProductionRun,
    QCDecision,
    QCGate,
    RunStepExecution,
    Supplier,
    User,
)
from runworker.plan import read_plan
from runworker.states import Decision, RunStatus, StepExecutionStatus
from runworker.tracing import find_run, genealogy_of_run, mass_balance
from runworker.upkeep import seal


def read_run_record(database: Engine, run: str, *, verify: bool = False) -> RunRecord:
    """The record of the run with this code or id.

    verify: recompute all seals of the audit trail as well, which takes time in proportion to the whole trail.
    Raises NotFound where there is no such run.
    """
    verification = seal.verify(database) if verify else None
    snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with database.connect().execution_options(**snapshot) as connection:
        run_id = find_run(connection, run)
        row = connection.execute(
            select(ProductionRun.__table__, func.now().label("made_at")).filter_by(id=run_id)
        ).one()
        genealogy = genealogy_of_run(connection, run_id)
        own = {lot.id: lot for lot in genealogy.lots.values() if lot.run_id == run_id}
        codes = _supplier_codes(connection) | {lot.id: lot.code for lot in genealogy.lots.values()}
        events = read_events(connection, run_id, codes={lot_id: lot.code for lot_id, lot in own.items()})
        return RunRecord(
            id=run_id,
            code=row.run_code,
            status=RunStatus(row.status),
            status_reason=row.status_reason,
            started_at=row.started_at,
            completed_at=row.completed_at,
            ended_at=row.ended_at,
            started_by=row.started_by,
            operator_id=row.operator_id,
            daily_target_kg=row.daily_target_kg,
            flow=_flow(connection, row.flow_version_id) if row.flow_version_id else None,
            steps=_steps(connection, run_id),
            genealogy=genealogy,
            own_lots=tuple(own),
            decisions=_decisions(connection, own),
            adoption=events.adoption,
            holds=events.holds,
            stops=events.stops,
            by_hand=events.by_hand,
            commands=read_commands(connection, run_id, codes, list(own), events.commands),
            balance=mass_balance(own.values(), genealogy.links),
            audit=read_summary(connection, run_id, list(own), verification),
            people=_people(connection),
            made_at=row.made_at,
        )


def _flow(connection: Connection, version_id: UUID) -> FlowFacts:
    found = connection.execute(
        select(FlowVersion.__table__, FlowDefinition.name.label("flow_name"))
        .join_from(FlowVersion, FlowDefinition)
        .where(FlowVersion.id == version_id)
    ).one()
    return FlowFacts(
        version_id=version_id,
        name=_texts(found.flow_name),
        version_num=found.version_num,
        status=found.status,
        published_at=found.published_at,
        published_by=found.published_by,
        labels=_labels(found.graph_schema),
    )


def _labels(graph: Any) -> Mapping[int, Mapping[str, str]]:
    try:
        plan = read_plan(graph)
    except Rejected:  # a legacy version whose graph gives no plan; the plant's own names have to do
        return {}
    return {step.index: _texts(step.label) for step in plan.steps}


def _texts(by_language: Any) -> Mapping[str, str]:
    """A text in several languages as other systems write it; values that are no text are left out."""
    if not isinstance(by_language, Mapping):
        return {}
    return {str(language): text for language, text in by_language.items() if isinstance(text, str)}


def _steps(connection: Connection, run_id: UUID) -> tuple[StepRecord, ...]:
    rows = connection.execute(
        select(RunStepExecution.__table__).filter_by(run_id=run_id).order_by(RunStepExecution.step_index)
    )
    return tuple(
        StepRecord(row.step_index, StepExecutionStatus(row.status), row.started_at, row.completed_at, row.operator_id)
        for row in rows
    )


def _decisions(connection: Connection, lots: Iterable[UUID]) -> tuple[DecisionRecord, ...]:
    rows = connection.execute(
        select(QCDecision.__table__, Lot.lot_code, Lot.step_index, QCGate.name.label("gate_name"), QCGate.gate_number)
        .join_from(QCDecision, Lot)
        .outerjoin(QCGate, QCGate.id == QCDecision.qc_gate_id)
        .where(QCDecision.lot_id.in_(list(lots)))
        .order_by(QCDecision.decided_at, Lot.lot_code, QCDecision.id)
    )
    return tuple(_decision(row) for row in rows)


def _decision(row: Row[Any]) -> DecisionRecord:
    gate = _texts(row.gate_name)
    return DecisionRecord(
        lot_code=row.lot_code,
        step_index=row.step_index,
        decision=Decision(row.decision),
        decided_at=row.decided_at,
        operator_id=row.operator_id,
        temperature_c=row.temperature_c,
        limit_c=CANONICAL_STEPS[row.step_index].ccp_limit if row.step_index is not None else None,
        gate=f"{row.gate_number}: {gate.get('en') or next(iter(gate.values()), '')}" if row.gate_number else None,
        notes=row.notes,
        signature=row.digital_signature,
    )


def _supplier_codes(connection: Connection) -> dict[UUID, str]:
    return {row.id: row.code for row in connection.execute(select(Supplier.id, Supplier.code))}


def _people(connection: Connection) -> Mapping[UUID, Person]:
    rows = connection.execute(select(User.id, User.full_name, User.email, User.role))
    return {row.id: Person(row.full_name or row.email, row.email, row.role) for row in rows}
