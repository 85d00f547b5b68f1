"""The statements that write, each over rows given as arrays. An UPDATE names the state that a row comes from."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    Connection,
    DateTime,
    Integer,
    Numeric,
    TableValuedAlias,
    Text,
    Update,
    Uuid,
    cast,
    insert,
    select,
)
from sqlalchemy import update as update_table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.dml import Insert

from runworker.engine.database import given, rows_given
from runworker.models import FlowVersion, Lot, LotGenealogy, ProductionRun, QCDecision, RunStepExecution

Rows = list[dict[str, Any]]

_time = DateTime(timezone=True)
_FROM_STATUS: Final = "from_status"

_run = given(
    id=Uuid(), run_code=Text(), flow_version_id=Uuid(), scenario_id=Uuid(), operator_id=Uuid(), started_by=Uuid(),
    status=Text(), current_step_index=Integer(), daily_target_kg=Numeric(), started_at=_time, completed_at=_time,
    ended_at=_time, idempotency_key=Uuid(), status_reason=Text(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip
_step = given(
    run_id=Uuid(), step_index=Integer(), node_id=Text(), status=Text(), started_at=_time, completed_at=_time,
    operator_id=Uuid(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip
_lot = given(
    id=Uuid(), lot_code=Text(), lot_type=Text(), step_index=Integer(), status=Text(), production_run_id=Uuid(),
    operator_id=Uuid(), weight_kg=Numeric(), temperature_c=Numeric(), sku_type=Text(), supplier_id=Uuid(),
    metadata=Text(), status_reason=Text(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip
_link = given(parent_lot_id=Uuid(), child_lot_id=Uuid(), quantity_used_kg=Numeric())
_qc = given(
    id=Uuid(), lot_id=Uuid(), qc_gate_id=Uuid(), operator_id=Uuid(), decision=Text(), notes=Text(),
    temperature_c=Numeric(), digital_signature=Text(), decided_at=_time,
)  # fmt: skip
_version = given(
    id=Uuid(), status=Text(), reviewed_by=Uuid(), published_by=Uuid(), published_at=_time, command_key=Uuid(),
    from_status=Text(),
)  # fmt: skip

_CASTS: Final[Mapping[str, Any]] = {"metadata": JSONB, "lot_type": Lot.__table__.c.lot_type.type}
"""Columns that travel as text."""


def _insert(table: Any, rows: TableValuedAlias) -> Insert:
    columns = [column for column in rows.c if column.name != _FROM_STATUS]
    values = [cast(column, _CASTS[column.name]) if column.name in _CASTS else column for column in columns]
    return insert(table.__table__).from_select(
        [column.name for column in columns], select(*values), include_defaults=False
    )


def _update(table: Any, rows: TableValuedAlias, identity: tuple[str, ...], *columns: str) -> Update:
    own = table.__table__.c
    same = [own[name] == rows.c[name] for name in identity]
    return (
        update_table(table.__table__)
        .where(*same, own.status == rows.c[_FROM_STATUS])
        .values({name: rows.c[name] for name in (*columns, "status", "command_key")})
    )


_update_versions = _update(FlowVersion, _version, ("id",), "reviewed_by", "published_by", "published_at")

IN_ORDER: Final[Mapping[str, Insert | Update]] = {
    "leaving versions": _update_versions,
    "changed versions": _update_versions,
    "new runs": _insert(ProductionRun, _run),
    "changed runs": _update(
        ProductionRun, _run, ("id",), "flow_version_id", "operator_id", "started_by", "current_step_index",
        "started_at", "completed_at", "ended_at", "status_reason",
    ),
    "new steps": _insert(RunStepExecution, _step),
    "changed steps": _update(
        RunStepExecution, _step, ("run_id", "step_index"), "started_at", "completed_at", "operator_id"
    ),
    "new lots": _insert(Lot, _lot),
    "relabelled lots": _update(Lot, _lot, ("id",), "sku_type"),
    "links": _insert(LotGenealogy, _link),
    "qc decisions": _insert(QCDecision, _qc),
    "changed lots": _update(Lot, _lot, ("id",), "temperature_c", "status_reason"),
}  # fmt: skip


def execute(connection: Connection, statement: Insert | Update, rows: Rows) -> None:
    """Run a statement over its rows, if there are any. Every locked row must still be in the state it was read in."""
    if not rows:
        return
    result = connection.execute(statement, rows_given(rows))
    if isinstance(statement, Update) and result.rowcount != len(rows):
        raise RuntimeError(f"{result.rowcount} of {len(rows)} locked rows were still in the state they were read in")
