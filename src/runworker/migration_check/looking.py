"""One look at a database: everything that the single looks find, in one transaction that cannot write."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from runworker.errors import ConfigurationError
from runworker.migration_check import constraints, dependents, names, rows, server, tables
from runworker.migration_check.course import Course, course
from runworker.migration_check.findings import MigrationFinding, bends

_LOCK_SECONDS = 10
_STATEMENT_SECONDS = 900


def refuse_what_stops(connection: Connection, target: str = "head") -> None:
    """Raise ConfigurationError with all that would stop the migration to `target`, if there is anything."""
    found = [str(each) for each in look(connection, target) if each.severity == "stops"]
    if found:
        listed = "\n".join(f"  {number}. {each}" for number, each in enumerate(found, 1))
        raise ConfigurationError(f"This database cannot be migrated as it is. Nothing was changed.\n{listed}")


def look(connection: Connection, target: str = "head") -> list[MigrationFinding]:
    """All that a migration to `target` would meet; nothing where there is nothing to do.

    Raises ConfigurationError for an unknown target.
    """
    connection.rollback()
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    connection.execute(
        text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'; SET LOCAL statement_timeout = '{_STATEMENT_SECONDS}s'")
    )
    try:
        return list(dict.fromkeys(_found(connection, target)))
    finally:
        connection.rollback()


def _found(connection: Connection, target: str) -> Iterator[MigrationFinding]:
    first = list(server.unfit(connection))
    yield from first
    if any(each.object == "schema public" and "not there" in each.what for each in first):
        return
    for step in course(connection, target):
        if isinstance(step, Course):
            yield from _on(connection, step)
        else:
            yield step


def _on(connection: Connection, way: Course) -> Iterator[MigrationFinding]:
    of_tables = [
        *server.owners(connection, way),
        *tables.kinds(connection, way),
        *tables.columns(connection, way),
    ]
    yield from server.roles(connection, way)
    yield from server.event_triggers(connection)
    yield from of_tables
    yield from constraints.constraints(connection, way)
    yield from names.taken(connection, way)
    yield from dependents.triggers(connection, way)
    yield from dependents.readers(connection, way)
    # What a column of another type holds, or a table of another owner, cannot be asked in these words.
    unfit = frozenset(
        each.object.partition(" ")[2]
        for each in of_tables
        if each.severity == "stops" and each.object.startswith(("table ", "column "))
    )
    if unfit:
        yield bends(
            "rows",
            f"Rows that need {', '.join(sorted(unfit))} were not looked at.",
            "More may be found in them.",
            "Look again once the other findings are mended.",
        )
    yield from rows.rows(connection, way, unfit)
