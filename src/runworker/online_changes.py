"""Changes tables of a plant that goes on reading and writing them: for revisions alone.

    change_table, lock_tables     lock a table for a moment, and give up in time for those who come after
    validate, set_not_null        read all rows, under a lock that holds up neither readers nor writers
    create_index                  CREATE INDEX CONCURRENTLY
    backfill                      writes many rows, a few in each transaction

All but `lock_tables` work in transactions of their own and commit what the revision did before. So a revision calls
them first, each of them skips what it finds done, and the rest, with the revision's number, is one transaction: a
revision that was interrupted is run again and goes on. The words of statements are the revision's own, never input.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from alembic import op
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tenacity import RetryError, Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from runworker.errors import Unavailable

HELD_UP: Final = "400ms"
"""How long a lock is waited for at a time, and so how long others wait behind it.

Less than PostgreSQL's `deadlock_timeout`: of two that wait for each other, the migration is the one that gives up.
"""

PATIENCE_SECONDS: Final = 300.0
"""How long a lock is asked for again. Alembic's configuration may hold another `lock_patience`."""

BATCH: Final = 2_000
"""Rows that one transaction of `backfill` writes, and that their other writers wait for."""

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_HOLDS_NOBODY_UP: Final = "SET LOCAL lock_timeout = '1min'"


def change_table(table: str, statements: str, *, unless: str) -> None:
    """Run statements that lock `table` and read none of its rows, unless it has the constraint `unless`.

    The statements add that constraint, and all they do is one transaction. Raises Unavailable as `lock_tables` does.
    """
    done = "pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name"
    if not _exists(done, table=table, name=unless):
        _patiently(table, partial(_alone, f"{_asking_for(table)}; {statements}"))


def lock_tables(*tables: str) -> None:
    """Lock tables for the rest of the revision's transaction, which has locked nothing yet.

    Each lock is waited for as long as HELD_UP; then all are given back, others go on, and the next attempt follows.
    Raises Unavailable when PATIENCE_SECONDS are over.
    """
    names = ", ".join(tables)

    def attempt() -> None:
        with op.get_bind().begin_nested():
            _execute(f"{_asking_for(*tables)}; LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")

    _patiently(names, attempt)


def validate(table: str, *constraints: str) -> None:
    """Hold all rows of `table` against constraints that were added NOT VALID."""
    changes = ", ".join(f"VALIDATE CONSTRAINT {name}" for name in constraints)
    _patiently(table, partial(_alone, f"{_HOLDS_NOBODY_UP}; ALTER TABLE {table} {changes}"))


def set_not_null(table: str, column: str) -> None:
    """Make a column NOT NULL. A CHECK that was validated before says so, and spares PostgreSQL a look at the rows."""
    done = "pg_attribute WHERE attrelid = to_regclass(:table) AND attname = :name AND attnotnull"
    if _exists(done, table=table, name=column):
        return
    check = f"ck_{table}_{column}_not_null"
    change_table(
        table, f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID", unless=check
    )
    validate(table, check)
    known = f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL; ALTER TABLE {table} DROP CONSTRAINT {check}"
    _patiently(table, partial(_alone, f"{_asking_for(table)}; {known}"))


def create_index(name: str, on: str, *, unique: bool = False) -> None:
    """Create the index `name` on "table (column)", unless it is there; one that is INVALID is made anew.

    Waits for the end of every transaction in the database that is older, and holds up none meanwhile.
    """
    valid = _scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)", name=name)
    if valid:
        return
    with op.get_context().autocommit_block():
        timeout = _scalar("SHOW lock_timeout")
        _execute("SET lock_timeout = 0")
        if valid is not None:
            _execute(f"DROP INDEX CONCURRENTLY {name}")
        _execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY {name} ON {on}")
        _execute(f"SET lock_timeout = '{timeout}'")


def backfill(table: str, change: str, *, where: str, found: str | None = None) -> None:
    """Run "UPDATE table SET change" for all rows that `where` finds, BATCH of them in each transaction.

    found: a SELECT of these rows' `id` and of values, where `change` needs any; it names them `found.value`. Rows are
    looked for once. One that is no longer as `where` says when its turn comes is left alone, and so is one that came
    later: a constraint keeps the latter from being needed, or a second call finds it.
    """
    _alone(f"""
        DROP TABLE IF EXISTS pg_temp.to_change;
        CREATE TEMPORARY TABLE to_change AS
            SELECT row_number() OVER () AS number, row_to_change.*
            FROM ({found or f"SELECT id FROM {table} WHERE {where}"}) AS row_to_change;
        ALTER TABLE to_change ADD PRIMARY KEY (number);
        ANALYZE to_change
    """)  # noqa: S608 - a revision's own words
    for numbers in _batches():
        update = f"""
            SET LOCAL enable_seqscan = off;
            SET LOCAL lock_timeout = '{HELD_UP}';
            UPDATE {table} SET {change}
            FROM pg_temp.to_change AS found
            WHERE {table}.id = found.id AND {numbers} AND ({where})
        """  # noqa: S608 - a revision's own words
        _patiently(table, partial(_alone, update))
    _alone("DROP TABLE pg_temp.to_change")


def _batches() -> Iterator[str]:
    """Conditions on `found.number`. What is printed is one batch: nobody knows yet how many rows there will be."""
    if op.get_context().as_sql:
        yield "found.number > 0"
        return
    for first in range(0, _scalar("SELECT count(*) FROM pg_temp.to_change"), BATCH):
        yield f"found.number > {first} AND found.number <= {first + BATCH}"


def _asking_for(*tables: str) -> str:
    """What comes before a statement that locks tables against everybody.

    A vacuum makes way for those who wait for it a second, which HELD_UP is shorter than. So it is sent away first,
    by a lock that nobody else has to wait for and that keeps the next one from beginning.
    """
    names = ", ".join(tables)
    aside = f"LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE"
    return f"{_HOLDS_NOBODY_UP}; {aside}; SET LOCAL lock_timeout = '{HELD_UP}'"


def _patiently(tables: str, attempt: Callable[[], None]) -> None:
    config = op.get_context().config
    seconds = config.attributes.get("lock_patience", PATIENCE_SECONDS) if config else PATIENCE_SECONDS
    attempts = Retrying(
        retry=retry_if_exception(_is_for_a_lock),
        wait=wait_exponential_jitter(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
        stop=stop_after_delay(seconds),
    )
    try:
        attempts(attempt)
    except RetryError as error:
        raise Unavailable(
            f"Another session kept a lock on {tables} for {seconds:g} s. What was finished before is kept; end that"
            " session's transaction and migrate again, which goes on from there."
        ) from error.last_attempt.exception()


def _is_for_a_lock(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and isinstance(error.orig, LockNotAvailable)


def _alone(statements: str) -> None:
    """Run statements in one transaction of their own."""
    with op.get_context().autocommit_block():
        _execute(f"BEGIN; {statements}; COMMIT" if op.get_context().as_sql else statements)


def _execute(statements: str) -> None:
    if op.get_context().as_sql:
        op.get_context().impl.static_output(f"{statements};")
        return
    # Without parameters, several statements go to the server at once, and are one transaction where none is open.
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def _scalar(query: str, **values: str) -> Any:
    return op.get_bind().scalar(text(query), values)


def _exists(what: str, **values: str) -> bool:
    return bool(_scalar(f"SELECT EXISTS (SELECT FROM {what})", **values))  # noqa: S608 - our own words
