"""Facts as rows: what a statement is given for each entity, in the order of its columns in `statements`."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from runworker.handlers.facts import Link, Lot, QcRecord, Run, Step, Version
from runworker.ids import new_id

Row = tuple[Any, ...]


def run_row(run: Run, before: Run | None, command_key: UUID, codes: Mapping[UUID, str]) -> Row:
    """A row of production_runs, and the state that it must still be in."""
    return (
        run.id,
        run.run_code or codes[run.id],
        run.flow_version_id,
        run.scenario_id,
        run.operator_id,
        run.started_by,
        run.status,
        run.current_step_index,
        _decimal(run.daily_target_kg),
        run.started_at,
        run.completed_at,
        run.ended_at,
        run.idempotency_key,
        run.status_reason,
        command_key,
        before.status if before else None,
    )


def step_row(run: Run, step: Step, before: Step | None, command_key: UUID) -> Row:
    """A row of run_step_executions. Rows that are there keep their ids."""
    return (
        None if before else new_id(),
        run.id,
        step.step_index,
        step.node_id,
        step.status,
        step.started_at,
        step.completed_at,
        step.operator_id,
        command_key,
        before.status if before else None,
    )


def lot_row(lot: Lot, before: Lot | None, command_key: UUID, codes: Mapping[UUID, str]) -> Row:
    """A row of lots."""
    return (
        lot.id,
        lot.lot_code or codes[lot.id],
        lot.lot_type,
        lot.step_index,
        lot.status,
        lot.run_id,
        lot.operator_id,
        _decimal(lot.weight_kg),
        _decimal(lot.temperature_c),
        lot.sku_type,
        lot.supplier_id,
        json.dumps(dict(lot.metadata)),
        lot.status_reason,
        command_key,
        before.status if before else None,
    )


def link_row(link: Link, command_key: UUID) -> Row:
    """A row of lot_genealogy."""
    return new_id(), link.parent_id, link.child_id, _decimal(link.quantity_used_kg), command_key


def qc_row(record: QcRecord, command_key: UUID) -> Row:
    """A row of qc_decisions."""
    return (
        record.id,
        record.lot_id,
        record.qc_gate_id,
        record.operator_id,
        record.decision,
        record.notes,
        _decimal(record.temperature_c),
        record.digital_signature,
        record.decided_at,
        command_key,
    )


def version_row(version: Version, before: Version, command_key: UUID) -> Row:
    """A row of flow_versions."""
    return (
        version.id,
        version.status,
        version.reviewed_by,
        version.published_by,
        version.published_at,
        command_key,
        before.status,
    )


def _decimal(value: object) -> str | None:
    return None if value is None else str(value)
