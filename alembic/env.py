"""Alembic's environment: one migration at a time on a database, none that waits for ever, none that stops half-way.

Under a session-level advisory lock, so that two deploys cannot race: the second waits, then finds nothing to do.
Before the first revision of an upgrade, the database is looked at for whatever would stop one of them. Each revision is
a transaction of its own. The lock is the session's: connect to PostgreSQL itself, not through a pooler that shares
sessions.

Offline (`--sql`) a revision looks at the database as well, in a transaction that cannot write, and what it would change
is printed.
"""

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any, Final

from alembic import command, context
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from runworker.errors import ConfigurationError, RunworkerError, Unavailable
from runworker.migration_check import refuse_what_stops
from runworker.migrations import owners_connection
from runworker.models import Base

ADVISORY_LOCK: Final = int.from_bytes(b"runworkr")
WAIT_FOR_OTHER_MIGRATION: Final = "5min"
LOCK_TIMEOUT: Final = "10s"  # a table lock that is waited for blocks everyone who comes after
STATEMENT_TIMEOUT: Final = "15min"  # room to rewrite a table of lots


def _url() -> str:
    given = context.config.attributes.get("url")
    from_environment = os.environ.get("RUNWORKER_MIGRATION_URL") or os.environ.get("RUNWORKER_DATABASE_URL")
    url = given or from_environment
    if not url:
        raise ConfigurationError(
            "No database to migrate: set RUNWORKER_MIGRATION_URL (the tables' owner) or RUNWORKER_DATABASE_URL,"
            " for example postgresql://owner:password@localhost/runworker."
        )
    return str(url)


def _wait_until_alone(connection: Connection) -> None:
    """Take the advisory lock, so that nobody else migrates this database. It is given back when the session ends."""
    patience = context.config.attributes.get("wait_for_other_migration", WAIT_FOR_OTHER_MIGRATION)
    connection.execute(
        text("SELECT set_config('lock_timeout', :patience, false), set_config('statement_timeout', '0', false)"),
        {"patience": patience},
    )
    try:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise Unavailable(
                f"Another migration of this database is still running after {patience}. Nothing was changed here;"
                " wait for it to end, or end its session, and try again."
            ) from error
        raise
    connection.commit()


def _tell(ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]) -> None:
    # stdout belongs to the caller's own output, which may be JSON.
    sys.stderr.write(f"runworker: {'up' if step.is_upgrade else 'down'}grade {step.up_revision_id}\n")


def _migrate(connection: Connection) -> None:
    lock_timeout = context.config.attributes.get("lock_timeout", LOCK_TIMEOUT)
    connection.execute(
        text("SELECT set_config('lock_timeout', :lock, false), set_config('statement_timeout', :statement, false)"),
        {"lock": lock_timeout, "statement": STATEMENT_TIMEOUT},
    )
    # Alembic opens and closes a transaction of its own for each revision, if none is open yet.
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
        on_version_apply=_tell,
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise Unavailable(
                f"A table stayed locked by another session for {lock_timeout}. The revision that needed it was"
                " rolled back, those before it are kept; stop what holds the lock and try again."
            ) from error
        raise


class _Printing(PostgresqlImpl):
    """What Alembic does in PostgreSQL's way. Where it prints, revisions ask `looked_at`, the database itself."""

    __dialect__ = "postgresql"
    looked_at: Connection | None = None

    @property
    def bind(self) -> Connection | None:
        """What revisions ask."""
        return self.looked_at or self.connection


def _print(connection: Connection) -> None:
    at = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    connection.execute(text("SET TRANSACTION READ ONLY"))
    context.configure(
        dialect_name="postgresql+psycopg",
        dialect_opts={"paramstyle": "named"},  # or each per cent sign is printed twice
        target_metadata=Base.metadata,  # its naming convention gives constraints their names
        starting_rev=at,
        transaction_per_migration=True,
        literal_binds=True,
    )
    _Printing.looked_at = connection
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        _Printing.looked_at = None


def _target() -> str | None:
    """The revision to go up to; None where Alembic was asked for something else."""
    attributes, asked = context.config.attributes, context.config.cmd_opts
    if asked is not None and asked.cmd[0] is command.upgrade:
        return str(asked.revision).rpartition(":")[2]
    return str(attributes["target"]) if "target" in attributes else None


def _run() -> None:
    target = _target()
    with owners_connection(_url()) as connection:
        if not context.is_offline_mode():
            _wait_until_alone(connection)
        if target is not None:
            refuse_what_stops(connection, target)
        if not context.is_offline_mode():
            _migrate(connection)
        elif target is not None:
            _print(connection)
        else:
            raise ConfigurationError("A downgrade looks at the rows it moves and cannot be printed; run it online.")


try:
    _run()
except RunworkerError as error:
    # The one kind of error that Alembic's own command line shows without a traceback.
    raise CommandError(str(error)) from error
