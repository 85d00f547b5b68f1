"""Listening: PostgreSQL tells a worker that a transaction has queued commands (`alembic/sql/notify_queued@1.sql`)."""

from collections.abc import Callable
from typing import Any, Final

import psycopg
from sqlalchemy.exc import DBAPIError, TimeoutError

from runworker.engine import Engine
from runworker.errors import Unavailable

CHANNEL: Final = "runworker_queued"

_SLICE_SECONDS: Final = 0.5
"""How long it listens before it asks whether to stop."""


def listen(engine: Engine, queued: Callable[[], Any], stopping: Callable[[], bool]) -> None:
    """Call `queued` once, and again whenever commands were queued, until `stopping`.

    The first call is for what was queued while nobody listened. Over a connection of its own, which is one of the
    engine's; of no use where PgBouncer shares connections. Raises Unavailable when the connection is lost, and what
    `queued` raises.
    """
    try:
        pooled = engine.database.raw_connection()
        connection: Any = pooled.driver_connection  # psycopg's own
        pooled.detach()
    except (DBAPIError, psycopg.Error, TimeoutError) as error:  # a connection as the driver made it has its errors
        raise Unavailable(f"cannot listen: {error}") from error
    with connection:
        _tell(connection, queued, stopping)


def _tell(connection: Any, queued: Callable[[], Any], stopping: Callable[[], bool]) -> None:
    try:
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}")
        told = True
        while not stopping():
            if told:
                queued()
            # Any number of notifications is one: the next look finds all that is committed by then.
            told = any(True for _ in connection.notifies(timeout=_SLICE_SECONDS, stop_after=1))
    except psycopg.OperationalError as error:
        raise Unavailable(f"listens no longer: {error}") from error
