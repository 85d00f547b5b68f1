"""One batch in one transaction: lock, read the ledger, judge, take codes, write, answer.

A command that comes before its turn is stored WAITING. It is judged again in the transaction of the command it waited
for, unless the request says not to wake it. Nothing is missed between two batches that commit at the same moment:
`engine.sql.locks` tells which locks are taken, in which order, and why that suffices.
"""

from collections.abc import Container, Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command
from runworker.engine.answers import Answers
from runworker.engine.batch import BatchRequest, BatchResult, PendingCommand, Resources
from runworker.engine.changes import code_requests, write_changes
from runworker.engine.judge import Judge
from runworker.engine.sql import ledger
from runworker.engine.sql.codes import take_codes
from runworker.engine.sql.ledger_rows import LedgerRow
from runworker.engine.sql.locks import lock, try_lock
from runworker.states import DECIDED_COMMANDS, CommandStatus


def process(connection: Connection, resources: Resources, request: BatchRequest) -> BatchResult:
    """Process a batch in the transaction of `connection`. The caller commits."""
    first: dict[UUID, Command] = {}
    for command in request.commands:
        first.setdefault(command.idempotency_key, command)
    peeked = _peeked(connection, request)
    if request.share:
        now, busy = try_lock(connection, {id_ for pending in peeked.values() for id_ in _needed(pending)})
        stored = {key: pending for key, pending in peeked.items() if busy.isdisjoint(_needed(pending))}
    else:
        stored = peeked
    asked = [*request.commands, *(each.command for each in stored.values() if isinstance(each.command, Command))]
    after = {key for command in asked for key in command.after}
    covered = {*first, *stored, *(id_ for command in asked for id_ in command.targets)}
    if not request.share:
        now = lock(connection, covered | after)

    rows = ledger.read(connection, {*first, *after, *stored}, covered if request.wake else ())
    known = {row.idempotency_key: row for row in rows}
    new = [PendingCommand.of_delivery(command) for key, command in first.items() if key not in known]
    old = [row for row in rows if _is_asked_for(row, request, first, stored)]

    judge = Judge(connection, resources, request, now, known)
    judge.judge([*new, *_undecided(old, judge, stored)])
    # Changes of woken commands may wake others, which the first read did not cover.
    while request.wake and (changed := judge.changed_ids - covered):
        covered |= changed
        judge.judge(_undecided(ledger.read(connection, (), changed), judge, stored))

    codes = take_codes(resources.counter_pool, code_requests(judge.changes), now.date())
    expires_at = now + timedelta(seconds=resources.settings.wait_seconds)
    answers = Answers(request, known, judge.commands, codes=codes, expires_at=expires_at)
    # The ledger comes first: audit triggers look up there who asked for a change.
    ledger.write(connection, answers.new_rows, answers.changed_rows, now)
    ledger.count_deliveries(connection, answers.repeated)
    write_changes(connection, judge.changes, codes)
    return BatchResult(answers.of_deliveries(), answers.late(), judge.changed_ids, peeked.keys() - stored.keys())


def _peeked(connection: Connection, request: BatchRequest) -> dict[UUID, PendingCommand]:
    """The stored commands, in the order in which they are asked for."""
    found = {row.idempotency_key: row for row in ledger.peek(connection, request.stored)}
    return {key: PendingCommand.of_row(found[key]) for key in request.stored if key in found}


def _needed(pending: PendingCommand) -> set[UUID]:
    """Ids that a stored command needs for itself."""
    about = {*pending.command.targets, *pending.command.after} if isinstance(pending.command, Command) else set()
    return about | {pending.key}


def _is_asked_for(row: LedgerRow, request: BatchRequest, delivered: Container[UUID], stored: Container[UUID]) -> bool:
    key = row.idempotency_key
    if key in stored:
        return True
    if row.status is CommandStatus.QUEUED:
        # Unless the same was delivered too, its run and lots are not locked: the next sweep takes it.
        queued = PendingCommand.of_row(row).command
        return isinstance(queued, Command) and any(
            command.idempotency_key == key and command.fingerprint == queued.fingerprint for command in request.commands
        )
    # Without waking, only the delivered commands are judged, and not those of `after` that were read with them.
    return request.wake or key in delivered


def _undecided(rows: Iterable[LedgerRow], judge: Judge, stored: Mapping[UUID, PendingCommand]) -> list[PendingCommand]:
    """Rows still to be decided, oldest first; those of one moment as they were asked for.

    To judge one again that nothing has changed for does no harm.
    """
    places = {key: place for place, key in enumerate(stored)}
    undecided = [
        row for row in rows if row.status not in DECIDED_COMMANDS and row.idempotency_key not in judge.commands
    ]
    undecided.sort(key=lambda row: (row.received_at, places.get(row.idempotency_key, 0)))
    return [
        PendingCommand.of_row(row, stored[row.idempotency_key].command if row.idempotency_key in stored else None)
        for row in undecided
    ]
