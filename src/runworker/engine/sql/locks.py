"""Locks of a batch, in the order in which it takes them, and why.

1. Advisory locks on ids, sorted: keys, runs and lots that may have no row yet. Of two batches that name the same
   id one is wholly before the other, although neither finds a row to lock. `lock` takes them.
2. Ledger rows, in the order of their keys (`ledger.read`).
3. Runs, in the order of their ids (`runs.load_runs`).
4. Lots, in the order of their ids (`lots.load_lots`).
5. Flow versions, in the order of their ids (`versions.load_versions`), after an advisory lock on their flow.

Batches that take them in this order never deadlock. PostgreSQL's guards lock runs before lots, too. A batch leaves the
order where a woken command wakes another: it reads further ledger rows after runs and lots. PostgreSQL ends a deadlock
that comes of it, and the engine tries that batch again.

No wake-up is missed. Say one batch leaves a command waiting for an id, and another batch changes that id. Both commands
are about the id: one waits for a run, a lot or a key of its own; only its own commands start or move a run, register a
lot or decide a key. So each either was asked for by its batch, which then holds the id's advisory lock, or was woken by
it, and then its row was there before, WAITING, with the id in `blocked_on`: all targets and undecided keys of a command
stand there, whatever it waits for at the moment.

- Both asked for: the advisory lock puts one batch wholly before the other.
- One woken: the other batch reads the rows that are blocked on the id, at its beginning or after its change, and locks
  the woken command's row. The batch that comes second waits there, and then sees what the first one did.
- Both woken: the batch that changes the id reads the waiting command's row afterwards, and locks it. Where the other
  batch has it, the change waits for that batch and has the command judged again.

A row that is not there yet is that of a command asked for: its batch takes the lock on the id first, and reads then.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from runworker.engine.sql.arrays import Longs

# Counting forces every lock to be taken before the clock is read.
_LOCK = text(
    "WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(id) FROM unnest(:ids) AS id)"
    " SELECT clock_timestamp() FROM (SELECT count(locked) FROM locked) AS all_locked"
)

_TRY = text(
    "WITH tried AS MATERIALIZED (SELECT id, pg_try_advisory_xact_lock(id) AS locked FROM unnest(:ids) AS id)"
    " SELECT clock_timestamp(), busy"
    " FROM (SELECT array_agg(id) FILTER (WHERE NOT locked) AS busy FROM tried) AS all_tried"
)


def lock(connection: Connection, ids: Iterable[UUID]) -> datetime:
    """Lock ids that may have no row yet until the transaction ends. Returns the database's clock, read after that."""
    numbers = sorted({_number(id_) for id_ in ids})
    now: datetime = connection.execute(_LOCK, {"ids": Longs(numbers)}).scalar_one()
    return now


def try_lock(connection: Connection, ids: Collection[UUID]) -> tuple[datetime, set[UUID]]:
    """Lock those ids that are free. Returns the database's clock, read after that, and the ids that others have."""
    now, busy = connection.execute(_TRY, {"ids": Longs({_number(id_) for id_ in ids})}).one()
    taken = set(busy or ())
    return now, {id_ for id_ in ids if _number(id_) in taken} if taken else set()


def _number(id_: UUID) -> int:
    # The last eight bytes: the first ones of time-ordered UUIDs are alike.
    return int.from_bytes(id_.bytes[8:], signed=True)
