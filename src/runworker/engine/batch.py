"""One batch in one transaction: lock, read the ledger, judge, record.

A command that comes before its turn is stored WAITING, and judged again in the transaction of the command it waited
for. Nothing is missed between two batches that commit at the same moment: ids without a row are serialized by advisory
locks taken first, rows by their row locks, ledger before runs, each in sorted order.
"""

from collections.abc import Container, Iterable
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command
from runworker.engine import ledger
from runworker.engine.entries import Decided, Entry, Order, Tools
from runworker.engine.judge import Judge
from runworker.engine.record import Record
from runworker.states import DECIDED, CommandStatus


def decide(connection: Connection, tools: Tools, order: Order) -> Decided:
    """Do `order` in the transaction of `connection`. The commit is the caller's."""
    first: dict[UUID, Command] = {}
    for command in order.commands:
        first.setdefault(command.idempotency_key, command)
    peeked = [Entry.of_row(row).command for row in ledger.peek(connection, order.stored)]
    asked = [*order.commands, *(command for command in peeked if isinstance(command, Command))]
    after = {key for command in asked for key in command.after}
    covered = {*first, *(id_ for command in asked for id_ in command.targets)}

    now = ledger.lock(connection, covered | after)
    rows = ledger.read(connection, {*first, *after, *order.stored}, covered if order.release else ())
    known = {row.idempotency_key: row for row in rows}
    fresh = [Entry.of_delivery(command) for key, command in first.items() if key not in known]
    stored = [row for row in rows if _is_asked_for(row, order, first)]

    judge = Judge(connection, tools, order, now, known)
    judge.judge([*fresh, *_undecided(stored, judge)])
    # What released commands changed may let others go on, which the first look did not cover.
    while order.release and (changed := judge.woken - covered):
        covered |= changed
        judge.judge(_undecided(ledger.read(connection, (), changed), judge))
    return Record(tools, order, now, known).write(connection, judge)


def _is_asked_for(row: ledger.Row, order: Order, delivered: Container[UUID]) -> bool:
    key = row.idempotency_key
    if key in order.stored:
        return True
    if row.status is CommandStatus.QUEUED:
        # Unless the same was delivered too, nobody has locked what it is about: the next sweep takes it.
        queued = Entry.of_row(row).command
        return isinstance(queued, Command) and any(
            command.idempotency_key == key and command.fingerprint == queued.fingerprint for command in order.commands
        )
    # Without release only what was asked for is judged, and not what stands beside it.
    return order.release or key in delivered


def _undecided(rows: Iterable[ledger.Row], judge: Judge) -> list[Entry]:
    """Rows still to be decided, oldest first. To judge one again that nothing has changed for does no harm."""
    return [
        Entry.of_row(row)
        for row in sorted(rows, key=lambda row: row.received_at)
        if row.status not in DECIDED and row.idempotency_key not in judge.entries
    ]
