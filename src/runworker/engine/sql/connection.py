"""Connections to PostgreSQL."""

from typing import Any

import psycopg
from sqlalchemy import Engine, ExceptionContext, create_engine, event, make_url

from runworker.config import Settings
from runworker.engine.constraints import spends_connection
from runworker.engine.sql import session
from runworker.engine.sql.patience import PatientConnection
from runworker.errors import ConfigurationError
from runworker.wire import options


def connect(settings: Settings, *, plan_once: bool = False) -> Engine:
    """A pool of connections for one worker process.

    Each connection says for itself what it needs (`engine.sql.session`) and, where the login may, takes on
    `database_role`, which owns nothing. Where connections are shared by PgBouncer from transaction to transaction
    (`pool_mode`), each transaction begins with that in place of each connection. No wait for an answer is without an
    end (`engine.sql.patience`). plan_once: a connection plans each statement one time, and finds its rows by index
    however small the tables were then: for statements that all have one.

    Raises ConfigurationError without a database URL, and where statements shall be prepared through PgBouncer and libpq
    cannot do it; does not connect yet.
    """
    if settings.database_url is None:
        raise ConfigurationError(
            "RUNWORKER_DATABASE_URL is not set and no embedded servers are running; set it, or start `runworker up`"
        )
    wanted = session.parameters(settings, plan_once=plan_once)
    shared = settings.pool_mode != "session"
    arguments: dict[str, Any] = {}
    if not shared:
        arguments["options"] = session.as_options(wanted)
    elif settings.pool_mode == "transaction":
        arguments["prepare_threshold"] = None
    elif not psycopg.capabilities.has_send_close_prepared():
        raise ConfigurationError(
            "RUNWORKER_POOL_MODE=transaction-prepared needs libpq 17 or newer, which can close a prepared statement"
            f" through PgBouncer; this one is {psycopg.pq.version()}: install psycopg[binary], or say transaction"
        )
    url = make_url(settings.database_url.get_secret_value())
    engine = create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_timeout=settings.connect_timeout_seconds,
        hide_parameters=True,
        connect_args={
            "connect_timeout": settings.connect_timeout_seconds,
            "application_name": "runworker",
            "client_encoding": "UTF8",
            **options(settings.silence_timeout_seconds, url.query),
            **arguments,
        },
    )
    event.listen(engine, "do_connect", _patient_connector(settings.statement_timeout_seconds))
    event.listen(engine, "handle_error", _replace_spent)
    session.prepare(engine, settings.database_role, wanted if shared else None)
    return engine


def _patient_connector(statement_timeout_seconds: float) -> Any:
    def connect_patiently(_dialect: Any, _record: Any, arguments: Any, named: Any) -> psycopg.Connection:
        connection = PatientConnection.connect(*arguments, **named)
        connection.be_patient(statement_timeout_seconds)
        return connection

    return connect_patiently


def _replace_spent(context: ExceptionContext) -> None:
    """Give up the connection, and with it all of its pool, where the server said that they are of no more use."""
    if spends_connection(getattr(context.original_exception, "sqlstate", None)):
        context.is_disconnect = True
