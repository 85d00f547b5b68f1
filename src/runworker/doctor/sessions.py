"""Sessions of PostgreSQL: room for them, and those that keep others waiting."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import text

from runworker.doctor.access import Access
from runworker.doctor.findings import Finding, check, listed, note, ok, span, warning
from runworker.doctor.postgres import in_force

IDLE_SECONDS: Final = 60
"""How long a transaction may do nothing, or a session wait for a lock, without being told of."""
OPEN_SECONDS: Final = 600
LEAST_LOCKS: Final = 256
CROWDED: Final = 0.9
"""Share of the connections from which on it is told."""


@check("postgresql-connections")
def connections(access: Access) -> Iterator[Finding]:
    """There are connections left for workers."""
    with access.observer() as connection:
        most, reserved = map(int, in_force(connection, "max_connections", "superuser_reserved_connections"))
        used = connection.execute(text("SELECT sum(numbackends)::int FROM pg_stat_database")).scalar_one()
    room, needs = most - reserved, 4 * access.given.pool_size
    seen = f"{used} of {room} connections are in use; a pool process takes up to {needs}"
    if used >= CROWDED * room or needs > room:
        yield warning(
            "postgresql-connections",
            f"{seen}.",
            "Workers that get no connection take nothing.",
            "Raise max_connections, lower RUNWORKER_POOL_SIZE, or put PgBouncer between (RUNWORKER_POOL_MODE).",
        )
    else:
        yield ok("postgresql-connections", seen)


@check("postgresql-locks")
def locks(access: Access) -> Iterator[Finding]:
    """A bulk message can lock all that it names."""
    with access.observer() as connection:
        [most] = map(int, in_force(connection, "max_locks_per_transaction"))
    if most < LEAST_LOCKS:
        yield note(
            "postgresql-locks",
            f"max_locks_per_transaction = {most}.",
            "Large bulk messages may find no room for their locks, and are tried again in halves.",
            f"ALTER SYSTEM SET max_locks_per_transaction = {LEAST_LOCKS}; then restart PostgreSQL.",
        )
    else:
        yield ok("postgresql-locks", f"max_locks_per_transaction = {most}")


_SESSIONS: Final = text("""
    SELECT pid, usename, application_name, datname, state,
           extract(epoch FROM clock_timestamp() - xact_start)::float AS open_seconds,
           extract(epoch FROM clock_timestamp() - state_change)::float AS seconds,
           wait_event_type = 'Lock' AS waits, pg_blocking_pids(pid) AS blockers,
           query = '<insufficient privilege>' AS hidden
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid()
      AND (backend_type = 'client backend' AND xact_start IS NOT NULL OR query = '<insufficient privilege>')
    ORDER BY xact_start
""")


@check("postgresql-sessions")
def sessions(access: Access) -> Iterator[Finding]:
    """Nobody keeps locks, or old rows, for long."""
    with access.observer() as connection:
        rows = connection.execute(_SESSIONS).all()
        prepared = connection.execute(
            text("SELECT gid FROM pg_prepared_xacts WHERE prepared < now() - make_interval(secs => :seconds)"),
            {"seconds": IDLE_SECONDS},
        ).scalars()
        forgotten = list(prepared)
    found = list(_of_sessions(rows))
    if forgotten:
        found.append(
            warning(
                "postgresql-sessions",
                f"Prepared transactions that nobody ends: {listed(forgotten)}.",
                "They keep their locks, and sealing stands still.",
                f"ROLLBACK PREPARED '{forgotten[0]}'",
            )
        )
    if any(row.hidden for row in rows):
        found.append(
            note(
                "postgresql-sessions",
                "What other logins' sessions do is not shown to this one.",
                "One of them may keep locks for long.",
                "Ask as the owner (RUNWORKER_MIGRATION_URL), or GRANT pg_read_all_stats to this login.",
            )
        )
    yield from found or [ok("postgresql-sessions", f"{len(rows)} open transactions, none for long")]


def _of_sessions(rows: Any) -> Iterator[Finding]:
    for row in rows:
        if row.hidden:
            continue
        who = f"{row.usename} ({row.application_name or 'no name'}, pid {row.pid}, database {row.datname})"
        end = f"SELECT pg_terminate_backend({row.pid})"
        if str(row.state).startswith("idle in transaction") and row.seconds > IDLE_SECONDS:
            yield warning(
                "postgresql-sessions",
                f"{who} has done nothing in an open transaction for {span(row.seconds)}.",
                "It keeps its locks: commands wait for them. Sealing stands still behind it.",
                end,
            )
        elif row.waits and row.seconds > IDLE_SECONDS:
            by = listed([str(pid) for pid in row.blockers])
            yield warning(
                "postgresql-sessions",
                f"{who} has waited for a lock for {span(row.seconds)}, behind pid {by}.",
                "Commands on the same rows wait, too.",
                f"Look at pid {by} in pg_stat_activity; to end it: SELECT pg_terminate_backend({by.split(',')[0]})",
            )
        elif row.open_seconds > OPEN_SECONDS:
            yield warning(
                "postgresql-sessions",
                f"{who} has had a transaction open for {span(row.open_seconds)}.",
                "Sealing stands still behind it, and dead rows stay.",
                end,
            )
