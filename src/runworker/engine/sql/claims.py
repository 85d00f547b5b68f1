"""Claims on stored commands that are due, so that workers share them, and learn whom a process died with.

A claim is committed before the commands are read, and taken back afterwards. One that lapses was left by a process that
died: each command under it is a suspect, claimed by itself from then on. A process that dies with one it claimed alone
died of it, as far as can be told (docs/decisions/quarantine.md).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Interval,
    Text,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from runworker.engine.sql.arrays import Uuids, any_of, array
from runworker.engine.sql.ledger_rows import MOST_BYTES
from runworker.models import CommandClaim, CommandRecord
from runworker.states import CommandStatus

_commands = CommandRecord.__table__.c
_claims = CommandClaim.__table__.c

_MOST_BYTES_TOGETHER: Final = 2 * MOST_BYTES
"""Of the payloads that one batch reads of what upstreams queued."""

_LAPSED: Final = _claims.claimed_at < func.clock_timestamp() - case(
    (_claims.is_alone, bindparam("longest", type_=Interval())), else_=text("interval '5 s'")
)
"""After five seconds others may look at what a worker claimed: at worst both do, and one finds nothing left to do. A
process that claimed a command alone counts as dead only when no living one would take as long."""

# Of thousands of one moment, a sort would look at each for every chunk, and lose the order in which they lie. Nor is
# there anything to be flushed but the locks on the ledger's rows: claims outlive no crash of the server.
_SETTINGS = text(
    "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),"
    " set_config('synchronous_commit', 'off', true)"
)
_TAKE = (
    insert(CommandClaim)
    .from_select(["idempotency_key"], select(func.unnest(array("keys"))))
    .on_conflict_do_nothing()
    .returning(_claims.idempotency_key)
)
_RELEASE = delete(CommandClaim).where(_claims.idempotency_key == any_of("keys"))
_PUT_OFF = (
    update(CommandClaim)
    .where(_claims.idempotency_key == bindparam("key"))
    .values(is_alone=False, claimed_at=func.clock_timestamp())
)
_FORGET = delete(CommandClaim).where(
    _LAPSED,
    ~exists().where(
        _commands.idempotency_key == _claims.idempotency_key,
        _commands.status.in_((CommandStatus.QUEUED, CommandStatus.WAITING)),
    ),
)


class Due:
    """Stored commands of one kind that are due to be judged. condition: which; since: the oldest of this come first."""

    def __init__(self, condition: ColumnElement[bool], since: ColumnElement[datetime]) -> None:
        claimed = exists().where(_claims.idempotency_key == _commands.idempotency_key)
        self.free = (
            select(_commands.idempotency_key, func.octet_length(cast(_commands.payload, Text)))
            .where(condition, ~claimed)
            .order_by(since)
            .with_for_update(of=CommandRecord, skip_locked=True)
        )
        first = (
            select(_claims.idempotency_key)
            .join(CommandRecord, _commands.idempotency_key == _claims.idempotency_key)
            .where(condition, _LAPSED)
            .order_by(_claims.deaths, _claims.claimed_at)
            .limit(1)
            .with_for_update(of=CommandClaim, skip_locked=True)
        )
        self.claim_suspect = (
            update(CommandClaim)
            .where(_claims.idempotency_key == first.scalar_subquery())
            .values(
                deaths=_claims.deaths + cast(_claims.is_alone, Integer),
                is_alone=True,
                claimed_at=func.clock_timestamp(),
            )
            .returning(_claims.idempotency_key, _claims.deaths)
        )


# As the partial index has it: with a parameter in its place, a prepared statement could not use it.
QUEUED: Final = Due(literal_column("status = 'QUEUED'", Boolean), _commands.received_at)
"""Commands that upstreams put into the ledger themselves, oldest first; those of one transaction as they lie there, in
the order of their INSERTs. What another batch works on is not among them."""

OVERDUE: Final = Due(
    _commands.expires_at <= func.least(func.now(), bindparam("seen_until")),
    _commands.expires_at,
)
"""WAITING commands whose time is up, the longest overdue first. seen_until: when all that was sent had been seen."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A command that a process died with. deaths: how many processes did while they had nothing else in hand."""

    key: UUID
    deaths: int


def claim(connection: Connection, due: Due, most: int, *, seen_until: datetime | None) -> list[UUID]:
    """Claim the first `most` commands that are due and that nobody has; fewer where their payloads are large."""
    connection.execute(_SETTINGS)
    while keys := _free(connection, due, most, seen_until):
        taken = set(connection.execute(_TAKE, {"keys": Uuids(keys)}).scalars())
        if taken:
            return [key for key in keys if key in taken]
    return []


def _free(connection: Connection, due: Due, most: int, seen_until: datetime | None) -> list[UUID]:
    keys: list[UUID] = []
    total = 0
    for key, size in connection.execute(due.free.limit(most), {"seen_until": seen_until}):
        total += size if size <= MOST_BYTES else 0  # a larger one is not read
        if keys and total > _MOST_BYTES_TOGETHER:
            break
        keys.append(key)
    return keys


def claim_suspect(
    connection: Connection, due: Due, longest: timedelta, *, seen_until: datetime | None
) -> Suspect | None:
    """Claim one suspect, alone: of those that nobody has, the one that ended the fewest processes.

    longest: how long a living process may have one alone.
    """
    given = {"longest": longest, "seen_until": seen_until}
    found = connection.execute(due.claim_suspect, given).one_or_none()
    if found is None:
        connection.execute(_FORGET, {"longest": longest})
    return Suspect(*found) if found else None


def release(connection: Connection, keys: Collection[UUID]) -> None:
    """Take claims back: who had them has outlived the commands."""
    connection.execute(_RELEASE, {"keys": Uuids(keys)})


def put_off(connection: Connection, key: UUID) -> None:
    """Leave a suspect for some seconds later: something stood in its way, so that nothing more is known of it."""
    connection.execute(_PUT_OFF, {"key": key})
