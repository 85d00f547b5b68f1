"""What lies about in the database: commands that wait, dead letters, events without a seal, ids that were given out."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import text

from runworker.doctor.access import Access
from runworker.doctor.findings import Finding, check, error, listed, note, ok, span, warning
from runworker.models import Base

LATE_SECONDS: Final = 60
"""How long after its time upkeep may do something, without being told of."""
UNSEALED_SECONDS: Final = 900

NUMBERED: Final = tuple(
    (table.name, column.name)
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if column.identity is not None
)
"""Tables whose ids are given out by a sequence, which a logical replication leaves where it was."""


def _ask(access: Access, statement: str) -> Any:
    with access.observer() as connection:
        return connection.execute(text(statement)).one()


@check("commands-waiting")
def waiting(access: Access) -> Iterator[Finding]:
    """Commands that wait for their turn are expired in time."""
    row = _ask(
        access,
        "SELECT count(*) AS many, extract(epoch FROM clock_timestamp() - min(received_at))::float AS oldest,"
        " extract(epoch FROM clock_timestamp() - min(expires_at))::float AS overdue"
        " FROM commands WHERE expires_at IS NOT NULL",  # as ck_commands_waiting has it, by index
    )
    seen = f"{row.many} commands wait for their turn" + (f", the first for {span(row.oldest)}" if row.many else "")
    if row.many and row.overdue > LATE_SECONDS:
        yield warning(
            "commands-waiting",
            f"{seen}; one should have expired {span(row.overdue)} ago.",
            "No worker does upkeep: nothing that waits is expired, queued by INSERT, sealed or forgotten.",
            "Start a worker; its log says at upkeep.postponed or gate.closed what keeps it.",
        )
    else:
        yield ok("commands-waiting", seen)


@check("commands-queued")
def queued(access: Access) -> Iterator[Finding]:
    """Commands that upstreams inserted are taken in."""
    row = _ask(
        access,
        "SELECT count(*) AS many, extract(epoch FROM clock_timestamp() - min(received_at))::float AS oldest"
        " FROM commands WHERE status = 'QUEUED'",
    )
    seen = f"{row.many} commands are queued by INSERT" + (f", the first for {span(row.oldest)}" if row.many else "")
    if row.many and row.oldest > max(LATE_SECONDS, 3 * access.given.sweep_seconds):
        yield warning(
            "commands-queued",
            f"{seen}.",
            "Workers take them in every RUNWORKER_SWEEP_SECONDS; none does.",
            "Start a worker; its log says at upkeep.postponed or gate.closed what keeps it.",
        )
    else:
        yield ok("commands-queued", seen)


@check("dead-letters")
def letters(access: Access) -> Iterator[Finding]:
    """Somebody has looked at what could not be handled."""
    row = _ask(
        access,
        "SELECT count(*) AS many, count(*) FILTER (WHERE code = 'INTERNAL_ERROR') AS ours,"
        " extract(epoch FROM clock_timestamp() - min(last_seen_at))::float AS oldest FROM dead_letters"
        " WHERE last_seen_at > coalesce(greatest(replayed_at, discarded_at), '-infinity')",
    )
    if not row.many:
        yield ok("dead-letters", "none is open")
        return
    seen = (
        f"{row.many} dead letters are open, {row.ours} of them by a fault of ours; the oldest for {span(row.oldest)}."
    )
    tell = warning if row.ours else note
    yield tell(
        "dead-letters",
        seen,
        "Their senders were refused, and nobody has replayed or discarded them.",
        "runworker dead-letters list --state open",
    )


@check("audit-seals")
def seals(access: Access) -> Iterator[Finding]:
    """The audit trail is closed into its chain."""
    row = _ask(
        access,
        "WITH seal AS (SELECT coalesce(max(last_event_id), 0) AS last FROM audit_seals)"
        " SELECT last, (SELECT coalesce(max(id), 0) FROM audit_events) AS newest,"
        " (SELECT count(*) FROM (SELECT FROM audit_events WHERE id > last LIMIT 100000) AS few) AS unsealed,"
        " (SELECT extract(epoch FROM clock_timestamp() - at)::float FROM audit_events"
        "  WHERE id > last ORDER BY id LIMIT 1) AS oldest"
        " FROM seal",
    )
    if row.last > row.newest:
        yield error(
            "audit-seals",
            f"The last seal ends at event {row.last}, and the newest event is {row.newest}.",
            "Somebody added that seal, or took events away. Nothing is sealed any more.",
            "Keep a copy of the database; `runworker verify` tells which seals hold.",
        )
    elif row.unsealed and row.oldest > UNSEALED_SECONDS:
        yield warning(
            "audit-seals",
            f"{row.unsealed} audit events have no seal, the first for {span(row.oldest)}.",
            "A change of them would not be seen. Sealing waits for every transaction that has written, and is open.",
            "See postgresql-sessions, and whether a worker runs.",
        )
    else:
        yield ok("audit-seals", f"{row.unsealed} events wait for the next seal")


@check("sequences")
def sequences(access: Access) -> Iterator[Finding]:
    """The next id that a sequence gives out is free."""
    behind = {}
    for table, column in NUMBERED:
        sequence = f"{table}_{column}_seq"
        if not _ask(access, f"SELECT has_sequence_privilege('public.{sequence}', 'SELECT') AS may").may:
            yield ok("sequences", "which ids were given out is for the owner to see")
            return
        row = _ask(
            access,
            f"SELECT (SELECT coalesce(max({column}), 0) FROM public.{table}) AS highest,"  # noqa: S608 - our own names
            f" last_value + is_called::integer AS next FROM public.{sequence}",
        )
        if row.next <= row.highest:
            behind[sequence] = f"SELECT setval('public.{sequence}', {row.highest})"
    if behind:
        yield error(
            "sequences",
            f"Behind the ids that are there: {listed(list(behind))}.",
            "Every command fails that has to write there. Logical replication copies rows, and no sequence.",
            f"Stop the workers, then as the owner: {'; '.join(behind.values())}",
        )
    else:
        yield ok("sequences", f"ids of {len(NUMBERED)} tables go on behind those that are there")
