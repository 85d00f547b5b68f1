"""Judging a batch: every command against the facts, and whatever a decision wakes, until nothing moves any more."""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command, RegisterLot, StartRun
from runworker.engine.entries import Answer, Entry, Order, Tools
from runworker.engine.gathering import Gathering
from runworker.engine.ledger import Row
from runworker.engine.writing import Change
from runworker.errors import InvalidMessage, NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Outcome
from runworker.states import DECIDED


class Judge:
    """Judges the commands of one batch, and keeps what they have made of the facts so far.

    entries: every command judged, by key. changes: what to write, in order. woken: ids that decisions changed.
    """

    def __init__(
        self, connection: Connection, tools: Tools, order: Order, now: datetime, known: Mapping[UUID, Row]
    ) -> None:
        self.entries: dict[UUID, Entry] = {}
        self.changes: list[Change] = []
        self.woken: set[UUID] = set()
        self._order = order
        self._now = now
        self._known = known
        self._waiting: defaultdict[UUID, dict[UUID, Entry]] = defaultdict(dict)
        self._gathering = Gathering(connection, tools, now)

    def judge(self, entries: Collection[Entry]) -> None:
        """Judge `entries` in their order."""
        self.entries.update((entry.key, entry) for entry in entries)
        self._gathering.gather([entry.command for entry in entries if isinstance(entry.command, Command)])
        queue = deque(entries)
        while queue:
            entry = queue.popleft()
            if entry.is_decided:
                continue
            entry.answer = self._answer(entry)
            entry.expired = isinstance(entry.answer, NotYet) and self._is_overdue(entry)
            if isinstance(entry.answer, NotYet) and not entry.expired:
                for id_ in entry.answer.wakes_on:
                    self._waiting[id_][entry.key] = entry
            else:
                queue.extend(self._wake(entry))

    def _answer(self, entry: Entry) -> Answer:
        if isinstance(entry.command, InvalidMessage):
            return entry.command
        if entry.key in self._order.refused:
            return self._order.refused[entry.key]
        entry.undecided = tuple(key for key in entry.undecided if not self._is_decided(key))
        if entry.undecided:
            return _after(entry.undecided, entry.command)
        try:
            return handle(entry.command, self._gathering.facts)
        except (Rejected, NotYet) as answer:
            return answer

    def _wake(self, entry: Entry) -> list[Entry]:
        """Take in what a decision changed. Returns the entries that waited for it."""
        self.woken.add(entry.key)
        woken = list(self._waiting.pop(entry.key, {}).values())
        if isinstance(entry.answer, Outcome):
            change = Change(entry.key, self._gathering.before(entry.answer), entry.answer, entry.answer.changed_ids)
            self.changes.append(change)
            self._gathering.take_in(entry.answer)
            self.woken |= change.ids
            # What was put after this very command goes before what waited for an entity only.
            woken += [waiting for id_ in sorted(change.ids) for waiting in self._waiting.pop(id_, {}).values()]
        return woken

    def _is_decided(self, key: UUID) -> bool:
        if entry := self.entries.get(key):
            return entry.is_decided
        row = self._known.get(key)
        return row is not None and row.status in DECIDED

    def _is_overdue(self, entry: Entry) -> bool:
        expires_at = entry.row.expires_at if entry.row else None
        return self._order.expire and expires_at is not None and expires_at <= self._now


def _after(undecided: tuple[UUID, ...], command: Command) -> NotYet:
    # Who comes to the run or lot that this command will create has to meet this command's row, and to wait for whoever
    # is judging it: otherwise neither would see the other.
    creates: tuple[UUID, ...] = ()
    if isinstance(command, StartRun):
        creates = (command.target_run,)
    elif isinstance(command, RegisterLot):
        creates = (command.target_lot,)
    keys = [str(key) for key in undecided]
    return NotYet(
        f"{'command' if len(keys) == 1 else 'commands'} {', '.join(keys)} of `after` not decided yet",
        waiting_for={"after": keys},
        wakes_on=undecided + creates,
    )
