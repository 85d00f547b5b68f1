"""Archives of the audit trail: whole months go to files, and of each row only its last event stays in the table.

A month is taken by the times of the seals' last events, in UTC. Its file is written, read back and held against
`audit_seals`, and listed in `audit_archives`; only then does PostgreSQL let its events go (`guard_audit_events_kept`),
a few thousand a transaction. Whatever is cut off goes on the next time: a file that is there and holds the month is
taken as it is, and events that were to go, go.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Engine, Row, cast, func, select, text, true
from sqlalchemy.dialects.postgresql import insert

from runworker.models import AuditArchive, AuditEvent, AuditSeal
from runworker.upkeep.archive_files import NotArchived, check, heading, name_of, rename, write
from runworker.upkeep.seal import StartingPoint, last_archived
from runworker.upkeep.seal_lines import LINES, SEALS, description

AT_A_TIME: Final = 2_000
"""Archived events whose rows are looked at in one transaction."""

Tell = Callable[[str, int, int], None]
"""Is told what is being done to a month, and how many of its events are done, of how many."""


@dataclass(frozen=True, slots=True)
class MonthArchived:
    """One month that went to a file. events: of the file. forgotten: how many left the table, of earlier months too."""

    month: str
    file: str
    sha256: str
    seals: int
    events: int
    forgotten: int


@dataclass(frozen=True, slots=True)
class _Due:
    """A month that is over and sealed, as `audit_archives` will have it. after: the seal before it."""

    month: date
    file_name: str
    after: StartingPoint
    first_seal_id: int
    last_seal_id: int
    first_event_id: int
    last_event_id: int
    seals: int
    events: int


def archive_months(
    database: Engine, directory: Path, before: datetime, tell: Tell = lambda *_: None
) -> Iterator[MonthArchived]:
    """Archive each month that ended before a moment and is not archived yet, and yield it when it is done.

    Raises NotArchived at a month that has events without a seal, whose events are not what was sealed, or whose file
    cannot be written; months before it are done.
    """
    with database.connect() as connection:
        last = connection.execute(_LAST).one_or_none()
    if last is not None:
        _forget(database, last, last.file_name, tell)
    while True:
        with database.connect() as connection:
            if (due := _next(connection, before)) is None:
                return
            digest = _filed(connection, due, directory, tell)
        _list(database, due, digest)
        forgotten = _forget(database, due, due.file_name, tell)
        yield MonthArchived(f"{due.month:%Y-%m}", due.file_name, digest.hex(), due.seals, due.events, forgotten)


_LAST: Final = select(AuditArchive.__table__).order_by(AuditArchive.month.desc()).limit(1)
_TIMES: Final = (
    select(AuditSeal.id, func.coalesce(AuditEvent.at, AuditSeal.sealed_at).label("at"))
    .outerjoin(AuditEvent, AuditEvent.id == AuditSeal.last_event_id)
    .order_by(AuditSeal.id)
    .limit(1)
)
_UNSEALED: Final = select(func.count()).where(
    AuditEvent.id > select(func.coalesce(func.max(AuditSeal.last_event_id), 0)).scalar_subquery()
)


def _next(connection: Connection, before: datetime) -> _Due | None:
    """The next month that ended before a moment; None where there is none with events."""
    after = last_archived(connection)
    this_month = _month_of(before)
    first = connection.execute(_TIMES.where(AuditSeal.id > after.id)).one_or_none()
    if first is None:
        _require_sealed(connection, this_month)
        return None
    last = connection.execute(_LAST).one_or_none()
    # What was sealed late, behind a month that is archived, goes to the month after it.
    month = max(_month_of(first.at), _month_after(last.month) if last else date.min)
    if month >= this_month:
        return None
    later = AuditEvent.at >= _start_of(_month_after(month))
    behind = connection.execute(_TIMES.where(AuditSeal.id > after.id, later)).one_or_none()
    if behind is None:
        _require_sealed(connection, _month_after(month))
    covered = select(
        func.min(AuditSeal.id),
        func.max(AuditSeal.id),
        func.min(AuditSeal.first_event_id),
        func.max(AuditSeal.last_event_id),
        func.count(),
        cast(func.sum(AuditSeal.events), BigInteger),
    ).where(AuditSeal.id > after.id, AuditSeal.id < behind.id if behind else true())
    return _Due(month, name_of(month), after, *connection.execute(covered).one())


def _require_sealed(connection: Connection, end: date) -> None:
    if many := connection.execute(_UNSEALED.where(AuditEvent.at < _start_of(end))).scalar_one():
        raise NotArchived(
            f"{many} events of before {end} have no seal yet, so that their month is not archived. A worker seals them;"
            " where none does, `runworker doctor` says why."
        )


def _filed(connection: Connection, due: _Due, directory: Path, tell: Tell) -> bytes:
    """See to it that the month's file is there and holds what it should. Returns its SHA-256."""
    file = directory / due.file_name
    if file.exists():
        try:
            return check(file, due.after.sha256, _seals(connection, due))
        except NotArchived as error:
            raise NotArchived(f"{error}, and is not overwritten: move it away, or give another folder.") from error
    part = file.with_name(f"{due.file_name}.part")
    write(part, _lines(connection, due, tell))
    try:
        digest = check(part, due.after.sha256, _seals(connection, due))
    except NotArchived as error:
        part.unlink(missing_ok=True)
        raise NotArchived(f"{error}: an event or a seal was changed. Ask `runworker verify`.") from error
    rename(part, due.file_name)
    return digest


def _lines(connection: Connection, due: _Due, tell: Tell) -> Iterator[str]:
    after, done = due.after.last_event_id, 0
    for seal in _seals(connection, due):
        yield heading(seal)
        yield description(seal)
        covered = {"after": after, "up_to": seal.last_event_id, "most": None}
        with connection.execute(LINES.execution_options(yield_per=500), covered) as lines:
            yield from (row.line for row in lines)
        after, done = seal.last_event_id, done + seal.events
        tell(f"{due.file_name}: written", done, due.events)


def _seals(connection: Connection, due: _Due) -> Iterator[Row[Any]]:
    with connection.execute(SEALS, {"after_seal": due.after.id}) as seals:
        yield from itertools.takewhile(lambda seal: seal.id <= due.last_seal_id, seals)


def _list(database: Engine, due: _Due, digest: bytes) -> None:
    of_due = ("month", "file_name", "first_seal_id", "last_seal_id", "first_event_id", "last_event_id", "events")
    archive = {name: getattr(due, name) for name in of_due} | {"sha256": digest}
    with database.begin() as connection:
        added = connection.execute(insert(AuditArchive).values(archive).on_conflict_do_nothing()).rowcount
    if not added:
        raise NotArchived(f"Somebody else has archived {due.month:%Y-%m} meanwhile: the table audit_archives names it.")


_FORGET: Final = text("""
    WITH chunk AS MATERIALIZED (
        SELECT id, entity, entity_id FROM audit_events WHERE id > :after AND id <= :last ORDER BY id LIMIT :most
    ), gone AS (
        DELETE FROM audit_events AS event USING (SELECT DISTINCT entity, entity_id FROM chunk) AS changed
        WHERE event.entity_id = changed.entity_id AND event.entity = changed.entity AND event.id <= :last
          AND is_forgettable(event.id)
        RETURNING event.id
    )
    SELECT (SELECT max(id) FROM chunk) AS looked_at, (SELECT count(*) FROM gone) AS forgotten
""")


def _forget(database: Engine, archive: "_Due | Row[Any]", name: str, tell: Tell) -> int:
    """Delete what later archived events make up for, of the rows that an archive names. Returns how many."""
    first, last = archive.first_event_id, archive.last_event_id
    after, forgotten = first - 1, 0
    while True:
        with database.begin() as connection:
            row = connection.execute(_FORGET, {"after": after, "last": last, "most": AT_A_TIME}).one()
        if row.looked_at is None:
            return forgotten
        after, forgotten = row.looked_at, forgotten + row.forgotten
        tell(f"{name}: let go", after - first + 1, last - first + 1)


def _month_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date().replace(day=1)


def _month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _start_of(month: date) -> datetime:
    return datetime.combine(month, time(), UTC)
