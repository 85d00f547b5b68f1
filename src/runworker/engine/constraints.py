"""Errors told apart: what decides a command, what stands in one command's way, and what keeps all of them waiting.

Only what names a command's own data, or one of our rules, may decide it. Constraint names are an interface: this table
is the one place where they become codes. A rule that is not in it is none of ours, and decides nothing.
"""

from collections.abc import Mapping
from enum import Enum, auto
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
    "ck_production_runs_status_reason": Code.INVALID_FIELD,
    "ck_production_runs_step_index": Code.INVALID_FIELD,
    "fk_run_step_executions_operator_id": Code.UNKNOWN_USER,
    "uq_lots_lot_code": Code.LOT_CODE_TAKEN,
    "pk_lots": Code.LOT_ALREADY_EXISTS,
    "fk_lots_supplier_id": Code.UNKNOWN_SUPPLIER,
    "fk_lots_operator_id": Code.UNKNOWN_USER,
    "fk_qc_decisions_operator_id": Code.UNKNOWN_USER,
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
    "guard_lots_step": Code.LOT_FROZEN,
    "guard_lots_released": Code.LOT_ILLEGAL_MOVE,
    "guard_lots_reason": Code.NOTES_REQUIRED,
    "guard_lots_delete": Code.LOT_FROZEN,
    "ck_lots_status_reason": Code.INVALID_FIELD,
    "guard_lot_genealogy_itself": Code.LOT_OWN_PARENT,
    "guard_lot_genealogy_released": Code.PARENT_NOT_RELEASED,
    "guard_lot_genealogy_closed": Code.LOT_ILLEGAL_MOVE,
    "guard_lot_genealogy_raw": Code.RAW_LOT_HAS_PARENTS,
    "guard_lot_genealogy_step": Code.PARENT_NOT_EARLIER,
    "guard_lot_genealogy_sku": Code.SKU_MIXED,
    "guard_lot_genealogy_quantity": Code.QUANTITY_EXCEEDS_LEFT,
    "guard_lot_genealogy_site": Code.PARENT_OTHER_SITE,
    "guard_lot_genealogy_archived": Code.PARENT_RUN_ARCHIVED,
    "guard_lot_genealogy_finished": Code.RUN_READ_ONLY,
    "guard_lot_genealogy_cycle": Code.GENEALOGY_CYCLE,
    "guard_lot_genealogy_kept": Code.LOT_FROZEN,
    "guard_qc_decisions_notes": Code.NOTES_REQUIRED,
    "guard_qc_decisions_kept": Code.QC_DECISION_IMMUTABLE,
    "guard_production_runs_quality": Code.QC_PENDING,
    "guard_production_runs_live_lots": Code.LIVE_LOTS_AHEAD,
    "guard_production_runs_insert": Code.RUN_ILLEGAL_MOVE,
    "guard_production_runs_pin": Code.FLOW_VERSION_NOT_PUBLISHED,
    "guard_production_runs_repin": Code.RUN_PIN_IMMUTABLE,
    "guard_production_runs_adoption": Code.STEP_ILLEGAL_MOVE,
    "guard_production_runs_move": Code.RUN_ILLEGAL_MOVE,
    "guard_production_runs_unfinished": Code.RUN_ILLEGAL_MOVE,
    "guard_production_runs_read_only": Code.RUN_READ_ONLY,
    "guard_production_runs_step": Code.STEP_ILLEGAL_MOVE,
    "guard_production_runs_reason": Code.INVALID_FIELD,
    "guard_production_runs_steps": Code.STEP_ILLEGAL_MOVE,
    "guard_production_runs_open_steps": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_run": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_skipped": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_added": Code.RUN_READ_ONLY,
    "guard_run_step_executions_insert": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_move": Code.STEP_ILLEGAL_MOVE,
    "guard_run_step_executions_finished": Code.RUN_READ_ONLY,
    "ex_run_step_executions_one_in_progress": Code.STEP_ILLEGAL_MOVE,
    "fk_flow_versions_reviewed_by": Code.UNKNOWN_USER,
    "fk_flow_versions_published_by": Code.UNKNOWN_USER,
    "guard_flow_versions_immutable": Code.FLOW_VERSION_IMMUTABLE,
    "guard_flow_versions_reviewed": Code.FLOW_VERSION_IMMUTABLE,
    "guard_flow_versions_kept": Code.FLOW_VERSION_IMMUTABLE,
    "guard_flow_versions_move": Code.FLOW_VERSION_ILLEGAL_MOVE,
    "uq_flow_versions_one_published": Code.FLOW_ALREADY_PUBLISHED,
}

_TAKEN_MEANWHILE: Final = frozenset({"pk_commands", "uq_production_runs_run_code"})
"""Another program, not a runworker, took the same key or number a moment ago: the engine looks again."""

_OF_DATA: Final = "22"
"""SQLSTATE class of values that cannot be what they were meant to be."""

_OF_RULES: Final = "23"
"""SQLSTATE class of broken constraints. Guards raise it, too, under names of their own."""

_NOT_OF_DATA: Final = frozenset({"2200H", "22023"})
"""Two of that class tell of no value of a command: a sequence is used up, a role or a setting is not there."""

_LOCKED: Final = frozenset({"55P03", "57014"})
"""A lock was not to be had in time; the statement took too long, as it does where the lock is another kind of wait."""

_OF_THE_SERVER: Final = (
    "08",  # the connection
    "0A",  # what a prepared statement returns has changed; a standby is asked to write
    "25",  # read-only; idle or open for too long
    "26",  # a pooler handed out a connection without our prepared statement
    "28",  # the login
    "3D",  # no such database
    "3F",  # no such schema
    "40",  # deadlock, serialization, conflict with recovery
    "42501",  # the login lacks a right, or sees some rows only
    "42703",  # a column is missing: the database is not migrated
    "42P01",  # a table is missing: the same
    "42P05",  # a pooler handed out a connection with somebody else's prepared statement
    "53",  # disk, memory, connections
    "57",  # shut down, starting up, crashed
    "58",  # errors of the system around it
)
"""Beginnings of SQLSTATEs that tell of the server or of its set-up: no part of a batch would fare better."""

_SPENT: Final = ("0A", "25006", "26", "40001", "42P05", "57P")
"""Beginnings of SQLSTATEs after which a connection is not to be used again. It leads to a server that is a standby now
or is about to end, or its prepared statements fit the tables no more."""


class Blame(Enum):
    """What an error tells of."""

    COMMAND = auto()
    """The command itself: its data, one of our rules, or a fault of ours in handling it. It decides."""
    LOCK = auto()
    """A lock that somebody holds on what the command needs."""
    OBSTACLE = auto()
    """What we do not know: a rule or a trigger of somebody else's, damage. Other commands may not meet it."""
    SERVER = auto()
    """The server, the way to it or its set-up. Whatever is asked, it fails."""


def blame(error: BaseException) -> Blame:
    """What an error tells of. What is not known to tell of a command never decides one."""
    if isinstance(error, TimeoutError | OSError | MemoryError):
        return Blame.SERVER
    if not isinstance(error, DBAPIError):
        return Blame.COMMAND
    state = sqlstate(error)
    if error.connection_invalidated or (state is None and isinstance(error, OperationalError | InterfaceError)):
        return Blame.SERVER
    if state is None or as_rejection(error):
        return Blame.COMMAND  # without a SQLSTATE it never left: psycopg could not write a value
    return Blame.SERVER if _constraint(error) in _TAKEN_MEANWHILE else _blame_by(state)


def _blame_by(state: str) -> Blame:
    if state in _LOCKED:
        return Blame.LOCK
    if state.startswith(_OF_THE_SERVER) or state in _NOT_OF_DATA:
        return Blame.SERVER
    return Blame.COMMAND if state.startswith(_OF_DATA) else Blame.OBSTACLE


def is_passing(error: BaseException) -> bool:
    """Whether an error tells of the surroundings, and so decides nothing: the same work may succeed later."""
    return blame(error) is not Blame.COMMAND


def spends_connection(state: str | None) -> bool:
    """Whether a connection on which the server said this SQLSTATE has to be replaced."""
    return state is not None and state.startswith(_SPENT)


def sqlstate(error: BaseException) -> str | None:
    """What PostgreSQL calls the error; None where it is not PostgreSQL's."""
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def reason(error: BaseException) -> str:
    """The error in one line, for logs: neither the statement nor its values are in it."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip() or type(error).__name__
    return said.splitlines()[0]


def as_rejection(error: BaseException) -> Rejected | None:
    """The rejection that a refused write amounts to, or None where the error names none of our rules."""
    constraint = _constraint(error)
    code = CODES_OF_CONSTRAINTS.get(constraint or "")
    if code is None or not (sqlstate(error) or "").startswith(_OF_RULES):
        return None
    said = [f"the database refused: {constraint}"]
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        said = [f"the database refused: {error.orig.diag.message_primary} ({constraint})"]
        if isinstance(error.orig, psycopg.errors.UniqueViolation | psycopg.errors.ForeignKeyViolation):
            # The detail tells which value is taken, or names nothing. Other errors' details may hold the whole row.
            said.append(error.orig.diag.message_detail or "")
    return Rejected(code, ": ".join(part for part in said if part))


def _constraint(error: BaseException) -> str | None:
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        return error.orig.diag.constraint_name
    return None
