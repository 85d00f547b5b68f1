"""Judging a batch: every command against the facts, and whatever a decision wakes, until nothing moves any more."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command, StartRun
from runworker.engine.entries import Answer, Entry, Order, Tools
from runworker.engine.ledger import Row
from runworker.engine.loading import load_runs, load_users, load_versions
from runworker.engine.writing import Change
from runworker.errors import InvalidMessage, NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, Outcome, Run, Version
from runworker.states import DECIDED, UserRole


class Judge:
    """Holds the facts of one batch, and what its commands have made of them so far.

    entries: every command judged, by key. changes: what to write, in order. woken: ids that decisions changed.
    """

    def __init__(
        self, connection: Connection, tools: Tools, order: Order, now: datetime, known: Mapping[UUID, Row]
    ) -> None:
        self.entries: dict[UUID, Entry] = {}
        self.changes: list[Change] = []
        self.woken: set[UUID] = set()
        self._connection = connection
        self._tools = tools
        self._order = order
        self._now = now
        self._known = known
        self._waiting: defaultdict[UUID, dict[UUID, Entry]] = defaultdict(dict)
        self._users: dict[UUID, UserRole] = {}
        self._versions: dict[UUID, Version] = {}
        self._runs: dict[UUID, Run] = {}
        self._absent: set[UUID] = set()
        self._facts = Facts(now, tools.settings.default_site_code, self._users, self._versions, self._runs)

    def judge(self, entries: Collection[Entry]) -> None:
        """Judge `entries` in their order."""
        self.entries.update((entry.key, entry) for entry in entries)
        self._load([entry.command for entry in entries if isinstance(entry.command, Command)])
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

    def _load(self, commands: Iterable[Command]) -> None:
        people: set[UUID] = set()
        runs: set[UUID] = set()
        versions: set[UUID] = set()
        for command in commands:
            people.add(command.issued_by)
            if operator_id := getattr(command, "operator_id", None):
                people.add(operator_id)
            if run_id := command.target_run:
                runs.add(run_id)
            if isinstance(command, StartRun):
                versions.add(command.flow_version_id)
        # What this batch has changed already is ahead of the database: never load a thing twice.
        self._users |= load_users(self._connection, people - self._users.keys())
        self._runs |= load_runs(self._connection, runs - self._runs.keys() - self._absent)
        self._absent |= runs - self._runs.keys()
        self._versions |= load_versions(self._connection, versions - self._versions.keys(), self._tools.plans)

    def _answer(self, entry: Entry) -> Answer:
        if isinstance(entry.command, InvalidMessage):
            return entry.command
        if entry.key in self._order.refused:
            return self._order.refused[entry.key]
        entry.undecided = tuple(key for key in entry.undecided if not self._is_decided(key))
        if entry.undecided:
            return _after(entry.undecided, entry.command)
        try:
            return handle(entry.command, self._facts)
        except (Rejected, NotYet) as answer:
            return answer

    def _wake(self, entry: Entry) -> list[Entry]:
        """Take in what a decision changed. Returns the entries that waited for it."""
        changed = {entry.key}
        if isinstance(entry.answer, Outcome):
            run = entry.answer.run
            self.changes.append(Change(entry.key, self._runs.get(run.id), run))
            self._runs[run.id] = run
            changed.add(run.id)
        self.woken |= changed
        return [waiting for id_ in changed for waiting in self._waiting.pop(id_, {}).values()]

    def _is_decided(self, key: UUID) -> bool:
        if entry := self.entries.get(key):
            return entry.is_decided
        row = self._known.get(key)
        return row is not None and row.status in DECIDED

    def _is_overdue(self, entry: Entry) -> bool:
        expires_at = entry.row.expires_at if entry.row else None
        return self._order.expire and expires_at is not None and expires_at <= self._now


def _after(undecided: tuple[UUID, ...], command: Command) -> NotYet:
    # Who comes to the run that this command will create has to meet this command's row, and to wait for whoever is
    # judging it: otherwise neither would see the other.
    creates = (command.target_run,) if isinstance(command, StartRun) else ()
    keys = [str(key) for key in undecided]
    return NotYet(
        f"{'command' if len(keys) == 1 else 'commands'} {', '.join(keys)} of `after` not decided yet",
        waiting_for={"after": keys},
        wakes_on=undecided + creates,
    )
