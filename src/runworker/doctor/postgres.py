"""PostgreSQL as a server: version, durability, settings, clock, disk."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from runworker.doctor.access import Access
from runworker.doctor.examination import away
from runworker.doctor.findings import Finding, check, error, listed, note, ok, warning
from runworker.doctor.measures import room, skew

OLDEST: Final = 15
NEWEST: Final = 19
"""Major releases that runworker is tested with."""

OLD_TRANSACTIONS: Final = 1_000_000_000
"""Age of the oldest unfrozen row, of the two thousand million at which PostgreSQL stops to write."""


@check("postgresql-away")
def reachable(access: Access) -> Iterator[Finding]:
    """Somebody answers, and lets the doctor in."""
    try:
        with access.observer() as connection:
            server = connection.execute(text("SELECT current_database(), session_user")).one()
    except Exception as failed:
        if (said := away(failed)) is None:
            raise
        yield error(
            "postgresql-away",
            f"PostgreSQL does not let the doctor in: {said}.",
            "Workers wait, and take nothing.",
            "Start it; see RUNWORKER_DATABASE_URL and `runworker config`.",
        )
        return
    yield ok("postgresql-away", f"database {server[0]}, as {server[1]}")


@check("postgresql-version")
def version(access: Access) -> Iterator[Finding]:
    """A release that runworker is tested with."""
    with access.observer() as connection:
        number, shown = in_force(connection, "server_version_num", "server_version")
    major = int(number) // 10_000
    supported = f"runworker is tested with PostgreSQL {OLDEST} to {NEWEST}"
    if major < OLDEST:
        yield error("postgresql-version", f"PostgreSQL {shown}.", f"{supported}.", f"Upgrade it to {OLDEST} or newer.")
    elif major > NEWEST:
        yield warning("postgresql-version", f"PostgreSQL {shown}.", f"{supported}.", "Upgrade runworker.")
    else:
        yield ok("postgresql-version", f"PostgreSQL {shown}")


@check("postgresql-durability")
def durability(access: Access) -> Iterator[Finding]:
    """A commit that was told is on disk."""
    with access.newcomer() as connection:
        names = ("fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names")
        fsync, pages, commit, standbys = in_force(connection, *names)
    off = [name for name, value in (("fsync", fsync), ("full_page_writes", pages)) if value == "off"]
    if off:
        yield error(
            "postgresql-durability",
            f"{' and '.join(off)} off.",
            "After a crash, commands that were told APPLIED are gone, or the whole database is.",
            f"ALTER SYSTEM RESET {off[0]}; SELECT pg_reload_conf()",
        )
    if commit == "off" or (commit == "local" and standbys):
        yield warning(
            "postgresql-durability",
            f"synchronous_commit = {commit}, unless a session says otherwise.",
            "What others commit, commands that they INSERT among it, may be gone after a crash or a promotion.",
            "ALTER SYSTEM RESET synchronous_commit; SELECT pg_reload_conf(); likewise for database and login.",
        )
    elif not off:
        yield ok("postgresql-durability", f"commits are waited for (synchronous_commit = {commit})")


@check("postgresql-isolation")
def isolation(access: Access) -> Iterator[Finding]:
    """Transactions see what was committed before each statement."""
    with access.newcomer() as connection:
        [level] = in_force(connection, "transaction_isolation")
    with access.worker() as connection:
        [of_workers] = in_force(connection, "transaction_isolation")
    why = "They do not see what others committed while they waited for a lock, and fail or take it twice."
    remedy = "Reset default_transaction_isolation for server, database and login."
    if of_workers != "read committed":
        yield error("postgresql-isolation", f"Workers' transactions are {of_workers}.", why, remedy)
    elif level != "read committed":
        yield note("postgresql-isolation", f"Transactions are {level}, unless a session says otherwise.", why, remedy)
    else:
        yield ok("postgresql-isolation", level)


@check("postgresql-vacuum")
def vacuum(access: Access) -> Iterator[Finding]:
    """Dead rows are cleared away."""
    with access.observer() as connection:
        autovacuum, counts = in_force(connection, "autovacuum", "track_counts")
        age = connection.execute(
            text("SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()")
        ).scalar_one()
        without = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND 'autovacuum_enabled=false' = ANY (reloptions) ORDER BY 1"
            )
        ).scalars()
        off = list(without)
    why = "Tables grow and get slow, and in the end PostgreSQL stops to write."
    if "off" in (autovacuum, counts):
        yield warning(
            "postgresql-vacuum",
            f"autovacuum = {autovacuum}, track_counts = {counts}.",
            why,
            "ALTER SYSTEM RESET autovacuum; ALTER SYSTEM RESET track_counts; SELECT pg_reload_conf()",
        )
    elif off:
        yield warning(
            "postgresql-vacuum",
            f"autovacuum is off for {listed(off)}.",
            why,
            f"ALTER TABLE {off[0]} RESET (autovacuum_enabled)",
        )
    elif age > OLD_TRANSACTIONS:
        yield error("postgresql-vacuum", f"Rows of {age:,} transactions ago are not frozen.", why, "VACUUM (FREEZE)")
    else:
        yield ok("postgresql-vacuum", f"autovacuum runs; the oldest unfrozen row is {age:,} transactions old")


@check("clock-postgresql")
def clock(access: Access) -> Iterator[Finding]:
    """This machine and PostgreSQL have the same time."""
    with access.observer() as connection:
        connection.execute(text("SELECT 1"))
        before = time.time()
        theirs = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())::float")).scalar_one()
        after = time.time()
    yield skew("clock-postgresql", "PostgreSQL", theirs, before, after)


@check("postgresql-disk")
def disk(access: Access) -> Iterator[Finding]:
    """There is room, as far as the disk is this machine's."""
    with access.observer() as connection:
        size = connection.execute(text("SELECT pg_size_pretty(pg_database_size(current_database()))")).scalar_one()
        # Not shown to every login; and a path means something only where the server is this machine's.
        folder = connection.execute(
            text(
                "SELECT setting FROM pg_settings WHERE name = 'data_directory'"
                " AND coalesce(inet_server_addr() << '127.0.0.0/8', true)"
            )
        ).scalar()
    seen = f"the database takes {size}"
    try:
        found = room("postgresql-disk", seen, folder) if folder and Path(folder, "PG_VERSION").is_file() else None
    except OSError:  # not for this user to see
        found = None
    yield found or ok("postgresql-disk", f"{seen}; how full its disk is cannot be seen from here")


def in_force(connection: Connection, *names: str) -> list[str]:
    """Values as this session has them; empty where the login may not see one."""
    asked = text("SELECT " + ", ".join(f"current_setting('{name}', true)" for name in names))
    return [value or "" for value in connection.execute(asked).one()]
