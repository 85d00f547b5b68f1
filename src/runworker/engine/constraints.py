"""What a database error means: passing, a rule's refusal, or a fault of ours.

Constraint names are an interface. This table is the one place where they become codes.
"""

from collections.abc import Mapping
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

from runworker.codes import Code
from runworker.errors import Rejected

CODES_OF_CONSTRAINTS: Final[Mapping[str, Code]] = {
    "uq_production_runs_idempotency_key": Code.IDEMPOTENCY_KEY_REUSED,
    "pk_production_runs": Code.RUN_ALREADY_EXISTS,
    "fk_production_runs_flow_version": Code.UNKNOWN_FLOW_VERSION,
    "fk_production_runs_scenario_id": Code.UNKNOWN_SCENARIO,
    "fk_production_runs_operator_id": Code.UNKNOWN_USER,
    "fk_production_runs_started_by": Code.UNKNOWN_USER,
    "fk_run_step_executions_operator_id": Code.UNKNOWN_USER,
    "uq_lots_lot_code": Code.LOT_CODE_TAKEN,
    "pk_lots": Code.LOT_ALREADY_EXISTS,
    "fk_lots_supplier_id": Code.UNKNOWN_SUPPLIER,
    "fk_qc_decisions_qc_gate_id": Code.UNKNOWN_QC_GATE,
    "guard_lots_insert": Code.LOT_ILLEGAL_MOVE,
    "guard_lots_finished_run": Code.RUN_NOT_RUNNING,
    "guard_lots_move": Code.LOT_ILLEGAL_MOVE,
    "guard_lots_consumed": Code.LOT_ILLEGAL_MOVE,
    "guard_lots_unfinished_children": Code.CHILDREN_NOT_FINISHED,
    "guard_lots_legacy_type": Code.LOT_TYPE_LEGACY,
    "guard_lots_sku": Code.SKU_MIXED,
    "guard_lots_weight": Code.INVALID_FIELD,
    "guard_lots_taken": Code.QUANTITY_EXCEEDS_LEFT,
    "guard_lots_identity": Code.LOT_FROZEN,
    "guard_lots_frozen": Code.LOT_FROZEN,
    "guard_lots_linked": Code.LOT_FROZEN,
    "guard_lots_delete": Code.LOT_FROZEN,
    "ck_lots_status_reason": Code.INVALID_FIELD,
    "guard_lot_genealogy_itself": Code.LOT_OWN_PARENT,
    "guard_lot_genealogy_released": Code.PARENT_NOT_RELEASED,
    "guard_lot_genealogy_raw": Code.RAW_LOT_HAS_PARENTS,
    "guard_lot_genealogy_step": Code.PARENT_NOT_EARLIER,
    "guard_lot_genealogy_sku": Code.SKU_MIXED,
    "guard_lot_genealogy_quantity": Code.QUANTITY_EXCEEDS_LEFT,
    "guard_lot_genealogy_site": Code.PARENT_OTHER_SITE,
    "guard_lot_genealogy_archived": Code.PARENT_RUN_ARCHIVED,
    "guard_lot_genealogy_finished": Code.RUN_READ_ONLY,
    "guard_lot_genealogy_cycle": Code.GENEALOGY_CYCLE,
    "guard_lot_genealogy_kept": Code.LOT_FROZEN,
    "guard_qc_decisions_kept": Code.QC_DECISION_IMMUTABLE,
    "guard_production_runs_quality": Code.QC_PENDING,
    "guard_production_runs_live_lots": Code.LIVE_LOTS_AHEAD,
    "guard_production_runs_insert": Code.RUN_ILLEGAL_MOVE,
    "guard_production_runs_pin": Code.FLOW_VERSION_NOT_PUBLISHED,
    "guard_production_runs_repin": Code.RUN_PIN_IMMUTABLE,
    "guard_production_runs_move": Code.RUN_ILLEGAL_MOVE,
    "guard_production_runs_unfinished": Code.RUN_ILLEGAL_MOVE,
    "guard_production_runs_read_only": Code.RUN_READ_ONLY,
    "guard_production_runs_step": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_insert": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_move": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_finished": Code.RUN_READ_ONLY,
    "ex_run_step_executions_one_in_progress": Code.STEP_ILLEGAL_MOVE,
    "guard_flow_versions_immutable": Code.FLOW_VERSION_IMMUTABLE,
    "guard_flow_versions_kept": Code.FLOW_VERSION_IMMUTABLE,
    "guard_flow_versions_move": Code.FLOW_VERSION_ILLEGAL_MOVE,
    "uq_flow_versions_one_published": Code.FLOW_ALREADY_PUBLISHED,
}

_PASSING_CLASSES: Final = ("08", "40", "53", "57", "58")
"""Connection, rollback, resources, operator intervention, system: SQLSTATE classes that say nothing of the command."""

_PASSING_STATES: Final = frozenset(
    {
        "55P03",  # a lock was not to be had in time
        "25P03",  # the session stood idle in its transaction for too long
        "25P04",  # the transaction took too long
        "25006",  # the server takes no writes: a standby, or one that is told to be read-only
        "42501",  # the login lacks a right
        "42P01",  # a table is missing: the database is not migrated
        "42703",  # a column is missing: the same
        "3F000",  # a schema is missing
    }
)
"""SQLSTATEs that tell of the server's state or set-up, and nothing of the command."""

_PASSING_CONSTRAINTS: Final = frozenset({"pk_commands", "uq_production_runs_run_code"})
"""Somebody else, not a runworker, took the same key or number a moment ago: look again."""


def is_passing(error: BaseException) -> bool:
    """Whether the same work may succeed later: connection lost, deadlock, timeout, shutdown, a server not set up."""
    if isinstance(error, TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES or _constraint(error) in _PASSING_CONSTRAINTS


def as_rejection(error: BaseException) -> Rejected | None:
    """The rejection that a refused write amounts to, or None where the error names no constraint."""
    constraint = _constraint(error)
    if constraint is None:
        return None
    code = CODES_OF_CONSTRAINTS.get(constraint, Code.STATE_CONFLICT)
    said = [f"the database refused: {constraint}"]
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        said = [f"the database refused: {error.orig.diag.message_primary} ({constraint})"]
        if isinstance(error.orig, psycopg.errors.UniqueViolation | psycopg.errors.ForeignKeyViolation):
            # Which value is taken, or names nothing. Other details may hold the whole row.
            said.append(error.orig.diag.message_detail or "")
    return Rejected(code, ": ".join(part for part in said if part))


def _constraint(error: BaseException) -> str | None:
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        return error.orig.diag.constraint_name
    return None
