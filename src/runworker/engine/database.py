"""Connections to PostgreSQL."""

from typing import Any

import structlog
from sqlalchemy import Engine, create_engine, event

from runworker.config import Settings
from runworker.errors import ConfigurationError

_log = structlog.get_logger(__name__)


def connect(settings: Settings) -> Engine:
    """A pool of connections for one worker process.

    Each connection has statement and lock timeouts and, where the login may, takes on `database_role`, which owns
    nothing. Raises ConfigurationError without a database URL; does not connect yet.
    """
    if settings.database_url is None:
        raise ConfigurationError(
            "RUNWORKER_DATABASE_URL is not set and no embedded servers are running; set it, or start `runworker up`"
        )
    timeouts = {
        "statement_timeout": settings.statement_timeout_seconds,
        "lock_timeout": settings.lock_timeout_seconds,
        "idle_in_transaction_session_timeout": settings.statement_timeout_seconds,
    }
    engine = create_engine(
        settings.database_url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_timeout=settings.connect_timeout_seconds,
        hide_parameters=True,
        connect_args={
            "connect_timeout": settings.connect_timeout_seconds,
            "application_name": "runworker",
            "options": " ".join(f"-c {name}={seconds}s" for name, seconds in timeouts.items()) + " -c timezone=UTC",
        },
    )
    if settings.database_role is not None:
        event.listen(engine, "connect", _role_taker(settings.database_role))
    return engine


def _role_taker(role: str) -> Any:
    def take_role(connection: Any, _record: Any) -> None:
        found = connection.execute(
            "SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = %s", (role,)
        ).fetchone()
        if found == (True,):
            connection.execute(f'SET ROLE "{role}"')
        else:
            _log.warning("database.role_not_taken", role=role, reason="absent" if found is None else "not a member")
        connection.commit()

    return take_role
