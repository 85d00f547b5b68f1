"""Values and rows that going down to an older revision does away with, counted before it begins.

Stands beside the revisions and not in them: what a released one drops is known, and a test takes them down one by one
and holds what is gone against this list.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection, Select, column, func, select, table, text


class Loss(NamedTuple):
    """Something that a revision's downgrade drops. columns: none where whole rows go.

    when: which rows lose it; unless given, all that have a value in one of the columns.
    """

    table: str
    columns: tuple[str, ...] = ()
    when: str = ""


_NO_DOCUMENT: Final = "jsonb_typeof(metadata) IS DISTINCT FROM 'object'"
"""Of lots: their metadata, in which a downgrade keeps what has no column, cannot hold it."""

LOSSES: Final[Mapping[str, tuple[Loss, ...]]] = {
    "20261202_2_archives": (Loss("audit_archives"),),
    "20261130_2_dead_letters": (
        Loss("dead_letters", ("replay_reason", "discarded_at", "discarded_by", "discard_reason")),
    ),
    "20261129_7_quality": (Loss("qc_decisions", ("command_key",)),),
    "20261129_6_genealogy": (Loss("lot_genealogy", ("command_key",)),),
    "20261129_5_lots": (
        Loss("suppliers"),
        Loss("lots", ("supplier_id", "command_key", "status_reason")),
        Loss(
            "lots", ("lot_type", "sku_type"), f"(sku_type IS NOT NULL OR lot_type::text ~ '[0-9]') AND {_NO_DOCUMENT}"
        ),
    ),
    "20261129_4_runs_and_steps": (
        Loss("production_runs", ("status_reason", "command_key")),
        Loss("run_step_executions", ("command_key",)),
    ),
    "20261129_3_flow_versions": (Loss("flow_versions", ("command_key",)),),
    "20261129_2_audit": (Loss("audit_events"), Loss("audit_seals")),
    "20261129_1_ledger": (Loss("commands"), Loss("dead_letters"), Loss("code_counters")),
    "20260124_run_step_executions": (Loss("run_step_executions"),),
    "20260124_production_runs": (
        Loss("production_runs", ("flow_version_id", "idempotency_key", "started_by")),
        Loss("production_runs", ("current_step_index",), "current_step_index > 0"),
        Loss("production_runs", ("completed_at",), "completed_at <> ended_at"),
        Loss("production_runs", ("status",), "status IN ('IDLE', 'HOLD', 'ARCHIVED')"),
    ),
    "20260124_flow_version_status": (
        Loss("flow_versions", ("reviewed_by",)),
        Loss("flow_versions", ("status",), "status = 'REVIEW'"),
    ),
    "20260124_lot_step_index_status": (Loss("lots", ("status", "step_index"), _NO_DOCUMENT),),
}
"""By revision, the newest first. What upgrade and downgrade turn into each other, and keep in a document, is no loss;
nor are claims, which are nobody's record, and the baseline's tables, which are dropped only where all are empty."""


def losses(connection: Connection, revisions: Collection[str]) -> list[str]:
    """What would be lost if these revisions were undone, a line each; empty where nothing would."""
    undone = [loss for revision, of_it in LOSSES.items() if revision in revisions for loss in of_it]
    gone = {loss.table for loss in undone if not loss.columns}
    lines = []
    for loss in undone:
        if loss.columns and loss.table in gone:
            continue
        if many := connection.execute(_count(loss)).scalar_one():
            values = f": {', '.join(loss.columns)}" if loss.columns else ""
            lines.append(f"{many:,} rows of {loss.table}{values}")
    return lines


def _count(loss: Loss) -> Select[int]:
    counted = select(func.count()).select_from(table(loss.table, schema="public"))
    if loss.when:
        return counted.where(text(loss.when))
    return counted.where(func.num_nonnulls(*map(column, loss.columns)) > 0) if loss.columns else counted
