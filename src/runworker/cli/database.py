"""The database as its owner, for commands that read it or write to it by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from runworker.cli.opening import find_servers
from runworker.config import Settings
from runworker.engine.constraints import as_rejection, is_passing
from runworker.engine.sql.connection import connect
from runworker.errors import ConfigurationError, Unavailable
from runworker.servers import as_owner, owner_url
from runworker.urls import masked

UNDEFINED_TABLE_OR_COLUMN: Final = ("42P01", "42703")
INSUFFICIENT_PRIVILEGE: Final = "42501"

_LOCK_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 300
"""What a person waits for may take longer than what a queue waits for: a recall reads much. No wire is silent for as
long without its being noticed."""


@contextmanager
def owner_connection() -> Iterator[Connection]:
    """A connection as the database's owner, to read from. Refusals as `owner_database`."""
    with owner_database(find_servers()) as database, database.connect() as connection:
        yield connection


@contextmanager
def owner_session() -> Iterator[Session]:
    """One transaction as the database's owner, committed at the end of the block. Refusals as `owner_database`."""
    with owner_database(find_servers()) as database, Session(database) as session, session.begin():
        yield session


@contextmanager
def owner_database(settings: Settings, *, statement_seconds: int = _STATEMENT_SECONDS) -> Iterator[Engine]:
    """The database as its owner. What it refuses inside of the block becomes an error that says what to do.

    statement_seconds: how long one statement may take.
    """
    patient = {"statement_timeout_seconds": statement_seconds, "lock_timeout_seconds": _LOCK_SECONDS}
    engine = connect(as_owner(settings).model_copy(update=patient))
    where = masked(owner_url(settings))
    try:
        yield engine
    except DBAPIError as error:
        raise _explained(error, where) from error
    finally:
        engine.dispose()


def _explained(error: DBAPIError, where: str) -> Exception:
    said = str(error.orig).strip()
    state = getattr(error.orig, "sqlstate", None)
    if state in UNDEFINED_TABLE_OR_COLUMN:
        return ConfigurationError(f"{where} lacks tables of this release ({said}); run `runworker migrate`.")
    if state == INSUFFICIENT_PRIVILEGE:
        return ConfigurationError(
            f"The login of {where} may not do this ({said}); set RUNWORKER_MIGRATION_URL to the tables' owner."
        )
    if is_passing(error):
        return Unavailable(f"PostgreSQL at {where} did not do it: {said}")
    return as_rejection(error) or error
