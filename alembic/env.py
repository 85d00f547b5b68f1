"""Alembic's environment: one migration at a time on a database, none that waits for ever, none that stops half-way.

Under a session-level advisory lock, so that two deploys cannot race: the second waits, then finds nothing to do.
Before the first revision of an upgrade, the database is looked at for whatever would stop one of them. A revision is a
transaction of its own, or several where it changes tables online (`runworker.online_changes`). The lock is the
session's: connect to PostgreSQL itself, not through a pooler that shares sessions.

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
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from runworker.errors import ConfigurationError, RunworkerError, Unavailable
from runworker.migration_check import refuse_what_stops
from runworker.migrations import ADVISORY_LOCK, connected, undone_losses
from runworker.models import Base

WAIT_FOR_OTHER_MIGRATION: Final = 300.0
POLL_SECONDS: Final = 0.2
LOCK_TIMEOUT: Final = "10s"  # a table lock that is waited for blocks everyone who comes after
STATEMENT_TIMEOUT: Final = "15min"  # room to make an index of lots, which waits for all older transactions


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
    """Take the advisory lock, so that nobody else migrates this database. It is given back when the session ends.

    The lock is asked for again and again: who waits for it in a statement has a snapshot meanwhile, and the other's
    CREATE INDEX CONCURRENTLY waits for the end of all snapshots.
    """
    patience = context.config.attributes.get("wait_for_other_migration", WAIT_FOR_OTHER_MIGRATION)
    attempts = Retrying(
        retry=retry_if_result(lambda is_alone: not is_alone),
        wait=wait_fixed(POLL_SECONDS),
        stop=stop_after_delay(patience),
    )
    try:
        attempts(_is_alone, connection)
    except RetryError as error:
        raise Unavailable(
            f"Another migration of this database is still running after {patience:g} s. Nothing was changed here;"
            " wait for it to end, or end its session, and try again."
        ) from error


def _is_alone(connection: Connection) -> bool:
    with connection.begin():
        return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}))


def _require_consent(connection: Connection) -> None:
    """Have whoever runs `alembic downgrade` by hand say that rows may be lost; `runworker migrate` asks by itself."""
    options = context.config.cmd_opts
    is_down = options is not None and getattr(options, "cmd", (None,))[0] is command.downgrade
    if options is None or not is_down or context.get_x_argument(as_dictionary=True).get("discard") == "yes":
        return
    if lost := undone_losses(connection, context.script, options.revision):
        raise ConfigurationError(
            f"Going down to {options.revision} would do away with {'; '.join(lost)}. Nothing was changed: make a"
            f" backup, then run `alembic -x discard=yes downgrade {options.revision}`."
        )


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
    except SQLAlchemyError as error:
        if isinstance(error, OperationalError) and isinstance(error.orig, LockNotAvailable):
            raise Unavailable(
                f"A table stayed locked by another session for {lock_timeout}. The revision that needed it was"
                " rolled back, those before it are kept; stop what holds the lock and try again."
            ) from error
        if connection.invalidated:
            raise Unavailable(
                "The connection to the database was lost. What was finished is kept; migrate again, which goes on from"
                " there."
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
    with connected(_url()) as connection:
        if not context.is_offline_mode():
            _wait_until_alone(connection)
            _require_consent(connection)
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
