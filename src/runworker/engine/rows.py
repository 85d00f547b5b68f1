"""Facts as rows: what a statement is given for each entity."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from runworker.handlers.facts import Link, Lot, QcRecord, Run, Step, Version

Row = dict[str, Any]


def run_row(run: Run, before: Run | None, command_key: UUID, codes: Mapping[UUID, str]) -> Row:
    """A row of production_runs, and the state that it must still be in."""
    return {
        "id": run.id,
        "run_code": run.run_code or codes[run.id],
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
        "command_key": command_key,
        "from_status": str(before.status) if before else None,
    }


def step_row(run: Run, step: Step, before: Step | None, command_key: UUID) -> Row:
    """A row of run_step_executions."""
    return {
        "run_id": run.id,
        "step_index": step.step_index,
        "node_id": step.node_id,
        "status": str(step.status),
        "started_at": step.started_at,
        "completed_at": step.completed_at,
        "operator_id": step.operator_id,
        "command_key": command_key,
        "from_status": str(before.status) if before else None,
    }


def lot_row(lot: Lot, before: Lot | None, command_key: UUID, codes: Mapping[UUID, str]) -> Row:
    """A row of lots."""
    return {
        "id": lot.id,
        "lot_code": lot.lot_code or codes[lot.id],
        "lot_type": lot.lot_type,
        "step_index": lot.step_index,
        "status": str(lot.status),
        "production_run_id": lot.run_id,
        "operator_id": lot.operator_id,
        "weight_kg": lot.weight_kg,
        "temperature_c": lot.temperature_c,
        "sku_type": lot.sku_type,
        "supplier_id": lot.supplier_id,
        "metadata": json.dumps(dict(lot.metadata)),
        "status_reason": lot.status_reason,
        "command_key": command_key,
        "from_status": str(before.status) if before else None,
    }


def link_row(link: Link, command_key: UUID) -> Row:
    """A row of lot_genealogy."""
    return {
        "parent_lot_id": link.parent_id,
        "child_lot_id": link.child_id,
        "quantity_used_kg": link.quantity_used_kg,
        "command_key": command_key,
    }


def qc_row(record: QcRecord, command_key: UUID) -> Row:
    """A row of qc_decisions."""
    return {
        "id": record.id,
        "lot_id": record.lot_id,
        "qc_gate_id": record.qc_gate_id,
        "operator_id": record.operator_id,
        "decision": str(record.decision),
        "notes": record.notes,
        "temperature_c": record.temperature_c,
        "digital_signature": record.digital_signature,
        "decided_at": record.decided_at,
        "command_key": command_key,
    }


def version_row(version: Version, before: Version, command_key: UUID) -> Row:
    """A row of flow_versions."""
    return {
        "id": version.id,
        "status": str(version.status),
        "reviewed_by": version.reviewed_by,
        "published_by": version.published_by,
        "published_at": version.published_at,
        "command_key": command_key,
        "from_status": str(before.status),
    }
