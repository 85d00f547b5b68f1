"""The statements that write, each over rows given as arrays. An UPDATE names the state that a row comes from."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, DateTime, Integer, Numeric, Text, Update, Uuid, insert, select
from sqlalchemy import update as update_table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.dml import Insert

from runworker.engine.arrays import Given
from runworker.engine.rows import Row
from runworker.models import FlowVersion, Lot, LotGenealogy, ProductionRun, QCDecision, RunStepExecution

_time = DateTime(timezone=True)
_FROM_STATUS: Final = "from_status"

# In the order of the rows that `rows` makes.
_run = Given(
    id=Uuid(), run_code=Text(), flow_version_id=Uuid(), scenario_id=Uuid(), operator_id=Uuid(), started_by=Uuid(),
    status=Text(), current_step_index=Integer(), daily_target_kg=Numeric(), started_at=_time, completed_at=_time,
    ended_at=_time, idempotency_key=Uuid(), status_reason=Text(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip
_step = Given(
    id=Uuid(), run_id=Uuid(), step_index=Integer(), node_id=Text(), status=Text(), started_at=_time, completed_at=_time,
    operator_id=Uuid(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip
_lot = Given(
    id=Uuid(), lot_code=Text(), lot_type=Lot.__table__.c.lot_type.type, step_index=Integer(), status=Text(),
    production_run_id=Uuid(), operator_id=Uuid(), weight_kg=Numeric(), temperature_c=Numeric(), sku_type=Text(),
    supplier_id=Uuid(), metadata=JSONB(), status_reason=Text(), command_key=Uuid(), from_status=Text(),
)  # fmt: skip
_link = Given(id=Uuid(), parent_lot_id=Uuid(), child_lot_id=Uuid(), quantity_used_kg=Numeric(), command_key=Uuid())
_qc = Given(
    id=Uuid(), lot_id=Uuid(), qc_gate_id=Uuid(), operator_id=Uuid(), decision=Text(), notes=Text(),
    temperature_c=Numeric(), digital_signature=Text(), decided_at=_time, command_key=Uuid(),
)  # fmt: skip
_version = Given(
    id=Uuid(), status=Text(), reviewed_by=Uuid(), published_by=Uuid(), published_at=_time, command_key=Uuid(),
    from_status=Text(),
)  # fmt: skip


def _insert(table: Any, given: Given) -> tuple[Insert, Given]:
    columns = {name: value for name, value in given.c.items() if name != _FROM_STATUS}
    inserted = insert(table.__table__).from_select(list(columns), select(*columns.values()), include_defaults=False)
    return inserted, given


def _update(table: Any, given: Given, identity: tuple[str, ...], *columns: str) -> tuple[Update, Given]:
    own = table.__table__.c
    same = [own[name] == given.c[name] for name in identity]
    changed = (
        update_table(table.__table__)
        # Not `=`: on tables without statistics PostgreSQL would look rows up by their state, all RUNNING runs for each.
        .where(*same, own.status.is_not_distinct_from(given.c[_FROM_STATUS]))
        .values({name: given.c[name] for name in (*columns, "status", "command_key")})
    )
    return changed, given


_update_versions = _update(FlowVersion, _version, ("id",), "reviewed_by", "published_by", "published_at")

IN_ORDER: Final[Mapping[str, tuple[Insert | Update, Given]]] = {
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


def execute(connection: Connection, name: str, rows: Sequence[Row]) -> None:
    """Run the statement `name` over its rows, if there are any.

    Raises RuntimeError unless every locked row is still in the state it was read in.
    """
    if not rows:
        return
    statement, given = IN_ORDER[name]
    result = connection.execute(statement, given.parameters(rows))
    if isinstance(statement, Update) and result.rowcount != len(rows):
        raise RuntimeError(f"{result.rowcount} of {len(rows)} locked rows were still in the state they were read in")
