"""Seals: the audit trail closed, range by range, into a chain of SHA-256.

The hash of a seal is taken over the hash of the seal before it (32 zero bytes for the first), a line that describes
the seal, and one line an event, in id order, each ended by a newline. Lines are JSON arrays as PostgreSQL prints jsonb;
they have an event's contents as the text of its jsonb, so that not even a digit behind a point can change unseen.

The chain cannot tell that its end was cut off together with the events under it: keep `Verification.head` somewhere
else to see that as well.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    LargeBinary,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql.dml import ReturningInsert

from runworker.models import AuditArchive, AuditEvent, AuditSeal
from runworker.upkeep.seal_lines import BARE_LINES, FORMAT, LINES, SEALS, description, instant
from runworker.upkeep.settled import last_settled_id

MOST_EVENTS: Final = 10_000
"""Events of one seal at most."""

MOST_BYTES: Final = 64 * 1024 * 1024
"""Text of one seal's events at most, but for a single one that is larger: PostgreSQL builds no text above 1 GB."""

PATIENCE_SECONDS: Final = 5.0

FIRST_PREVIOUS: Final = bytes(32)

_BEFORE_ALL: Final = -(2**63)

_LOCK: Final = text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=int.from_bytes(b"runwseal"))
_NOW: Final = instant(func.now())


def _sealing() -> ReturningInsert[int]:
    """Inserts the next seal over `LINES`, if there are any, and returns its number of events. previous: a hash.

    PostgreSQL takes the hash: a worker that did it in Python would keep its commands waiting meanwhile.
    """
    found = LINES.subquery()
    size = func.octet_length(found.c.line)
    up_to_here = func.sum(size).over(order_by=found.c.id)
    sized = select(found, (up_to_here - size).label("before_it")).subquery()
    events = select(sized).where(sized.c.before_it < bindparam("most_bytes", type_=BigInteger())).subquery()
    first, last, many = func.min(events.c.id), func.max(events.c.id), func.count()
    described = cast(func.jsonb_build_array(FORMAT, first, last, many, _NOW), Text)
    lines = func.string_agg(events.c.line + "\n", aggregate_order_by(literal(""), events.c.id))
    before = bindparam("previous", type_=LargeBinary())
    digest = func.sha256(before.op("||")(func.convert_to(described + "\n" + lines, "UTF8")))
    seal = {
        AuditSeal.first_event_id: first,
        AuditSeal.last_event_id: last,
        AuditSeal.events: many,
        AuditSeal.previous_sha256: before,
        AuditSeal.sha256: digest,
        AuditSeal.sealed_at: func.now(),
    }
    made = select(*seal.values()).having(many > 0)
    return insert(AuditSeal).from_select(list(seal), made, include_defaults=False).returning(AuditSeal.events)


_SEALING: Final = _sealing()

_LAST_SEAL: Final = select(AuditSeal.last_event_id, AuditSeal.sha256).order_by(AuditSeal.id.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class BrokenSeal:
    """The first seal that does not fit what it covers. Events are meant by id, both ends included."""

    seal_id: int
    first_event_id: int
    last_event_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of recomputing the chain.

    seals, events: how many hold, up to the first broken one. unsealed: events that no seal covers yet.
    head: hash of the last seal that holds; None where there is none.
    """

    seals: int
    events: int
    unsealed: int
    head: str | None
    broken: BrokenSeal | None


def seal(database: Engine, *, patience: float = PATIENCE_SECONDS) -> int:
    """Close events that no seal covers yet, 10,000 and 64 MiB at most, into one seal. Returns how many, or 0.

    Waits up to `patience` seconds for the transactions that may still add events among them, and seals nothing when
    one takes longer: the next call will, and the log says whom it waits for. Two callers at once take turns. Raises
    SQLAlchemy's errors.
    """
    horizon = last_settled_id(database, patience)
    if horizon is None:
        return 0
    with database.begin() as connection:
        connection.execute(_LOCK)
        last_event_id, previous = connection.execute(_LAST_SEAL).one_or_none() or (0, FIRST_PREVIOUS)
        given = {
            "after": last_event_id,
            "up_to": horizon,
            "most": MOST_EVENTS,
            "most_bytes": MOST_BYTES,
            "previous": previous,
        }
        sealed: int | None = connection.execute(_SEALING, given).scalar_one_or_none()
        return sealed or 0


def verify(database: Engine) -> Verification:
    """Recompute the chain behind the last archive, in one snapshot, and stop at the first seal that does not fit."""
    with database.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as found:
        return recompute(found, last_archived(found))


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The seal after which a verification begins. sealed_at: None at the beginning of the chain, where all is zero."""

    id: int
    last_event_id: int
    sha256: bytes
    sealed_at: datetime | None


# Ids below 1 are nobody's, and are to be found.
BEGINNING: Final = StartingPoint(_BEFORE_ALL, 0, FIRST_PREVIOUS, None)


def recompute(connection: Connection, start: StartingPoint = BEGINNING) -> Verification:
    """Recompute the chain in the connection's transaction, and stop at the first seal that does not fit.

    start: this seal and those before it are taken as they are, and neither recomputed nor counted.
    """
    seals = events = 0
    previous, last_event_id = start.sha256, start.last_event_id
    broken = None
    with connection.execute(SEALS, {"after_seal": start.id}) as rows:
        for row in rows:
            reason = _fault(connection, row, previous, last_event_id)
            if reason:
                broken = BrokenSeal(row.id, row.first_event_id, row.last_event_id, reason)
                break
            seals, events = seals + 1, events + row.events
            previous, last_event_id = row.sha256, row.last_event_id
    sealed_to = select(func.coalesce(func.max(AuditSeal.last_event_id), 0)).scalar_subquery()
    unsealed = connection.execute(select(func.count()).where(AuditEvent.id > sealed_to)).scalar_one()
    return Verification(seals, events, unsealed, None if previous == FIRST_PREVIOUS else previous.hex(), broken)


_POINTS: Final = select(AuditSeal.id, AuditSeal.last_event_id, AuditSeal.sha256, AuditSeal.sealed_at)
_ARCHIVED: Final = _POINTS.join(AuditArchive, AuditArchive.last_seal_id == AuditSeal.id)
_IS_THERE: Final = text("SELECT to_regclass('public.audit_archives') IS NOT NULL")


def last_before(connection: Connection, moment: datetime | None) -> StartingPoint:
    """The last seal that was made before a moment."""
    if moment is None:
        return BEGINNING
    return _last(connection, _POINTS.where(AuditSeal.sealed_at < moment))


def last_archived(connection: Connection) -> StartingPoint:
    """The last seal whose events are archived. A database at an older revision has none."""
    return _last(connection, _ARCHIVED) if connection.execute(_IS_THERE).scalar_one() else BEGINNING


def _last(connection: Connection, points: Select[int, int, bytes, datetime]) -> StartingPoint:
    row = connection.execute(points.order_by(AuditSeal.id.desc()).limit(1)).one_or_none()
    return StartingPoint(*row) if row else BEGINNING


def _fault(connection: Connection, row: Row[Any], previous: bytes, last_event_id: int) -> str | None:
    """The fault of a seal, given the hash and the last event of the seal before it; None where it holds."""
    if row.previous_sha256 != previous:
        return "it does not follow the seal before it; that one, or this one, was changed, removed or added"
    if row.last_event_id <= last_event_id:
        return f"it covers event {row.last_event_id}, which the seal before it covers"
    digest = hashlib.sha256(previous)
    digest.update(description(row).encode() + b"\n")
    many = 0
    given = {"after": last_event_id, "up_to": row.last_event_id, "most": MOST_EVENTS + 1}
    with connection.execute(BARE_LINES.execution_options(yield_per=500), given) as found:
        for lines in found.scalars().partitions():
            digest.update("".join(f"{line}\n" for line in lines).encode())
            many += len(lines)
    if many != row.events:
        return f"it was made over {row.events} events, and there are {'more' if many > row.events else 'fewer'}"
    if digest.digest() != row.sha256:
        return "its hash does not fit; it, or an event under it, was changed"
    return None
