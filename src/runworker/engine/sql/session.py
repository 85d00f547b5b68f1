"""What each session says for itself, whatever the server, the database or the role have as their defaults.

Where connections are shared by PgBouncer from transaction to transaction, each transaction says it anew: nothing of a
session may be left on a connection that somebody else gets next.
"""

from typing import Any, Final

import psycopg
import structlog
from sqlalchemy import Connection, Engine, event

from runworker.config import Settings

_log = structlog.get_logger(__name__)

_ROLE: Final = "runworker_role"
"""Key under which a connection remembers the role that its login may take on."""

# What was told APPLIED outlives a crash. How far replicas have to be, which other values say, is the server's to say.
_DURABLE: Final = (
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
    " ELSE current_setting('synchronous_commit') END, %s)"
)

# A default of the database or of the role is set aside. One of the server's own says that it takes no writes just now.
_LOOK: Final = (
    f"SELECT {_DURABLE}, EXISTS (SELECT FROM pg_settings"  # noqa: S608 - our own words
    " WHERE name = 'default_transaction_read_only' AND setting = 'on'"
    " AND source IN ('database', 'user', 'database user')),"
    " (SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = %s)"
)


def parameters(settings: Settings, *, plan_once: bool) -> dict[str, str]:
    """PostgreSQL's parameters for a session. plan_once: as `connection.connect` has it."""
    wanted = {
        # Ours before anybody's temporary tables, which a pooler's connection may have of another client.
        "search_path": "pg_catalog,public,pg_temp",
        # An error where rows would be hidden from us: to judge by some rows only is to judge wrongly.
        "row_security": "off",
        "statement_timeout": f"{settings.statement_timeout_seconds}s",
        "lock_timeout": f"{settings.lock_timeout_seconds}s",
        "idle_in_transaction_session_timeout": f"{settings.statement_timeout_seconds}s",
        "idle_session_timeout": "0",
        "TimeZone": "UTC",
        # As psycopg can read them.
        "DateStyle": "ISO,MDY",
        "IntervalStyle": "postgres",
    }
    return wanted | ({"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"} if plan_once else {})


def as_options(wanted: dict[str, str]) -> str:
    """Parameters as libpq hands them to the server at the start of a connection."""
    isolated = {"default_transaction_isolation": r"read\ committed"}
    return " ".join(f"-c {name}={value}" for name, value in (isolated | wanted).items())


def prepare(engine: Engine, role: str | None, shared: dict[str, str] | None) -> None:
    """Have each connection of `engine` begin as a session of ours, and take on `role` where its login may.

    shared: parameters that each transaction sets, on connections that PgBouncer shares; else None.
    """
    event.listen(engine, "connect", _beginner(role, for_session=shared is None))
    if shared is not None:
        event.listen(engine, "begin", _setter(shared))


def _beginner(role: str | None, *, for_session: bool) -> Any:
    def begin(connection: psycopg.Connection, record: Any) -> None:
        if not for_session:  # psycopg says it in each BEGIN: within a transaction it would come too late
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        _, read_only_by_default, is_member = (
            connection.execute(_LOOK, (not for_session, role)).fetchone() or (None,) * 3
        )
        if role is None:
            pass
        elif not is_member:
            _log.warning("database.role_not_taken", role=role, reason="absent" if is_member is None else "not a member")
        elif for_session:
            connection.execute(psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(role)))
        else:
            record.info[_ROLE] = role
        connection.commit()
        if read_only_by_default:
            connection.read_only = False

    return begin


def _setter(wanted: dict[str, str]) -> Any:
    """Parameters and role for one transaction, in one statement: none of them outlives it."""
    values = [value for parameter in wanted.items() for value in parameter]
    local = ", ".join(["set_config(%s, %s, true)"] * (len(wanted) + 1))

    def set_parameters(connection: Connection) -> None:
        role = connection.info.get(_ROLE, "none")
        connection.exec_driver_sql(f"SELECT {_DURABLE}, {local}", (True, *values, "role", role))

    return set_parameters
