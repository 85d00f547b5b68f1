"""One batch in one transaction: lock, read the ledger, judge, record.

A command that comes before its turn is stored WAITING, and judged again in the transaction of the command it waited
for. Nothing is missed between two batches that commit at the same moment: ids without a row are serialized by advisory
locks taken first, rows by their row locks, ledger before runs, each in sorted order.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command
from runworker.engine import ledger
from runworker.engine.entries import Decided, Entry, Order, Tools
from runworker.engine.judge import Judge
from runworker.engine.record import Record
from runworker.states import DECIDED


def decide(connection: Connection, tools: Tools, order: Order) -> Decided:
    """Do `order` in the transaction of `connection`. The commit is the caller's."""
    first: dict[UUID, Command] = {}
    for command in order.commands:
        first.setdefault(command.idempotency_key, command)
    after = {key for command in first.values() for key in command.after}
    covered = {*first, *(run_id for command in first.values() if (run_id := command.target_run))}

    now = ledger.lock(connection, covered | after)
    rows = ledger.read(connection, {*first, *after, *order.stored}, covered if order.release else ())
    known = {row.idempotency_key: row for row in rows}
    fresh = [Entry.of_delivery(command) for key, command in first.items() if key not in known]
    # Without release only what was asked for is judged, and not what stands beside it.
    stored = [row for row in rows if order.release or row.idempotency_key in {*first, *order.stored}]

    judge = Judge(connection, tools, order, now, known)
    judge.judge([*fresh, *_undecided(stored, judge)])
    # What released commands changed may let others go on, which the first look did not cover.
    while order.release and (changed := judge.woken - covered):
        covered |= changed
        judge.judge(_undecided(ledger.read(connection, (), changed), judge))
    return Record(tools, order, now, known).write(connection, judge)


def _undecided(rows: Iterable[ledger.Row], judge: Judge) -> list[Entry]:
    """Rows still to be decided, oldest first. To judge one again that nothing has changed for does no harm."""
    return [
        Entry.of_row(row)
        for row in sorted(rows, key=lambda row: row.received_at)
        if row.status not in DECIDED and row.idempotency_key not in judge.entries
    ]
