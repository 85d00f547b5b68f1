"""Connections to PostgreSQL."""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
import structlog
from sqlalchemy import Connection, Engine, create_engine, event

from runworker.config import Settings
from runworker.errors import ConfigurationError

_log = structlog.get_logger(__name__)

_ROLE: Final = "runworker_role"
"""Under which a connection remembers the role that its login may take on."""


def connect(settings: Settings, *, plan_once: bool = False) -> Engine:
    """A pool of connections for one worker process.

    Each connection has statement and lock timeouts and, where the login may, takes on `database_role`, which owns
    nothing. Where connections are shared by PgBouncer from transaction to transaction (`pool_mode`), each transaction
    begins with that in place of each connection. plan_once: a connection plans each statement one time, and finds its
    rows by index however small the tables were then: for statements that all have one.

    Raises ConfigurationError without a database URL, and where statements shall be prepared through PgBouncer and libpq
    cannot do it; does not connect yet.
    """
    if settings.database_url is None:
        raise ConfigurationError(
            "RUNWORKER_DATABASE_URL is not set and no embedded servers are running; set it, or start `runworker up`"
        )
    session = {
        "statement_timeout": f"{settings.statement_timeout_seconds}s",
        "lock_timeout": f"{settings.lock_timeout_seconds}s",
        "idle_in_transaction_session_timeout": f"{settings.statement_timeout_seconds}s",
        "timezone": "UTC",
    }
    if plan_once:
        session |= {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
    shared = settings.pool_mode != "session"
    arguments: dict[str, Any] = {}
    if not shared:
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in session.items())
    elif settings.pool_mode == "transaction":
        arguments["prepare_threshold"] = None
    elif not psycopg.capabilities.has_send_close_prepared():
        raise ConfigurationError(
            "RUNWORKER_POOL_MODE=transaction-prepared needs libpq 17 or newer, which can close a prepared statement"
            f" through PgBouncer; this one is {psycopg.pq.version()}: install psycopg[binary], or say transaction"
        )
    engine = create_engine(
        settings.database_url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_timeout=settings.connect_timeout_seconds,
        hide_parameters=True,
        connect_args={
            "connect_timeout": settings.connect_timeout_seconds,
            "application_name": "runworker",
            **arguments,
        },
    )
    if settings.database_role is not None:
        event.listen(engine, "connect", _role_taker(settings.database_role, for_session=not shared))
    if shared:
        event.listen(engine, "begin", _session_setter(session))
    return engine


def _role_taker(role: str, *, for_session: bool) -> Any:
    def take_role(connection: Any, record: Any) -> None:
        found = connection.execute(
            "SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = %s", (role,)
        ).fetchone()
        if found != (True,):
            _log.warning("database.role_not_taken", role=role, reason="absent" if found is None else "not a member")
        elif for_session:
            connection.execute(f'SET ROLE "{role}"')
        else:
            record.info[_ROLE] = role
        connection.commit()

    return take_role


def _session_setter(session: Mapping[str, str]) -> Any:
    """Settings and role for one transaction, in one statement: none of them outlives it."""
    values = [value for setting in session.items() for value in setting]
    local = ", ".join(["set_config(%s, %s, true)"] * (len(session) + 1))

    def set_session(connection: Connection) -> None:
        role = connection.info.get(_ROLE, "none")
        connection.exec_driver_sql(f"SELECT {local}", (*values, "role", role))

    return set_session
