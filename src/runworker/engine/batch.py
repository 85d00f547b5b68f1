"""One batch in one transaction: lock, read the ledger, load, judge, write.

A command that comes before its turn is stored WAITING, and judged again in the transaction of the command it waited
for. Nothing is missed between two batches that commit at the same moment: ids without a row are serialized by advisory
locks taken first, rows by their row locks, ledger before runs, each in sorted order.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from runworker.commands import Command, StartRun, parse
from runworker.config import Settings
from runworker.engine import ledger
from runworker.engine.codes import take_run_codes
from runworker.engine.loading import Plans, load_runs, load_users, load_versions
from runworker.engine.writing import Change, write_changes
from runworker.errors import Code, InvalidMessage, NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, Outcome, Run, Version
from runworker.states import DECIDED, CommandStatus, UserRole
from runworker.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Tools:
    """What every batch of a process shares. numbers: a pool of its own, so that codes never wait for batches."""

    settings: Settings
    numbers: Engine
    plans: Plans


@dataclass(frozen=True, slots=True)
class Order:
    """What a batch is to do.

    commands: as delivered, repeats included; task_ids by key. stored: keys of ledger rows to judge again.
    refused: rejections known from an attempt that the database refused. release: whether commands that waited for
    these are judged too. expire: whether overdue commands give up.
    """

    commands: Sequence[Command] = ()
    task_ids: Mapping[UUID, str] = field(default_factory=dict)
    stored: Collection[UUID] = ()
    refused: Mapping[UUID, Rejected] = field(default_factory=dict)
    release: bool = True
    expire: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of an order.

    verdicts: one for each of its commands. late: verdicts by task id of commands decided now whose own message was
    answered WAITING before. woken: ids that changed, whose waiting commands `release=False` left unjudged.
    """

    verdicts: list[Verdict]
    late: dict[str, Verdict]
    woken: set[UUID]


@dataclass(slots=True)
class _Entry:
    """One command on its way through the batch. answer is what the judge said last."""

    key: UUID
    command: Command | InvalidMessage
    row: ledger.Row | None
    undecided: tuple[UUID, ...]
    answer: Outcome | Rejected | InvalidMessage | NotYet | None = None
    expired: bool = False
    verdict: Verdict | None = None


class Batch:
    """The work on one order. Lives as long as its transaction; the commit is the caller's."""

    def __init__(self, connection: Connection, tools: Tools, order: Order) -> None:
        self._connection = connection
        self._tools = tools
        self._order = order
        self._first: dict[UUID, Command] = {}
        for command in order.commands:
            self._first.setdefault(command.idempotency_key, command)
        self._known: dict[UUID, ledger.Row] = {}
        self._entries: dict[UUID, _Entry] = {}
        self._waiting: defaultdict[UUID, list[_Entry]] = defaultdict(list)
        self._changes: list[Change] = []
        self._woken: set[UUID] = set()
        self._users: dict[UUID, UserRole] = {}
        self._versions: dict[UUID, Version] = {}
        self._runs: dict[UUID, Run] = {}
        self._absent: set[UUID] = set()

    def decide(self) -> Decided:
        """Do the order and report."""
        after = {key for command in self._first.values() for key in command.after}
        covered = {*self._first, *(run for command in self._first.values() if (run := command.target_run))}
        self._now = ledger.lock(self._connection, covered | after)
        self._facts = Facts(self._now, self._tools.settings.default_site_code, self._users, self._versions, self._runs)
        keys = {*self._first, *after, *self._order.stored}
        rows = ledger.read(self._connection, keys, covered if self._order.release else ())
        self._judge([*self._admit_delivered(rows), *self._admit_stored(rows)])
        while self._order.release and (changed := self._woken - covered):
            covered |= changed
            self._judge(self._admit_stored(ledger.read(self._connection, (), changed)))
        return self._record()

    def _admit_delivered(self, rows: Iterable[ledger.Row]) -> list[_Entry]:
        self._known = {row.idempotency_key: row for row in rows}
        entries = [
            _Entry(key, command, None, command.after) for key, command in self._first.items() if key not in self._known
        ]
        self._entries.update((entry.key, entry) for entry in entries)
        return entries

    def _admit_stored(self, rows: Iterable[ledger.Row]) -> list[_Entry]:
        """Undecided rows, oldest first. Judging one that nothing has changed for does no harm."""
        entries = []
        for row in sorted(rows, key=lambda row: row.received_at):
            asked_for = (
                self._order.release or row.idempotency_key in self._order.stored or row.idempotency_key in self._first
            )
            if row.status in DECIDED or row.idempotency_key in self._entries or not asked_for:
                continue
            command = _stored_command(row)
            if row.waiting_for is not None:
                undecided = tuple(map(UUID, row.waiting_for.get("after", ())))
            else:
                undecided = command.after if isinstance(command, Command) else ()
            entry = _Entry(row.idempotency_key, command, row, undecided)
            entries.append(entry)
        self._entries.update((entry.key, entry) for entry in entries)
        return entries

    def _load(self, commands: Collection[Command]) -> None:
        people = {command.issued_by for command in commands}
        people |= {operator for command in commands if (operator := getattr(command, "operator_id", None))}
        runs = {run for command in commands if (run := command.target_run)}
        versions = {command.flow_version_id for command in commands if isinstance(command, StartRun)}
        # What this batch has changed already is ahead of the database: never load a thing twice.
        self._users |= load_users(self._connection, people - self._users.keys())
        self._runs |= load_runs(self._connection, runs - self._runs.keys() - self._absent)
        self._absent |= runs - self._runs.keys()
        self._versions |= load_versions(self._connection, versions - self._versions.keys(), self._tools.plans)

    def _judge(self, entries: Collection[_Entry]) -> None:
        """Judge entries, and whatever their decisions wake, until nothing moves any more."""
        self._load([entry.command for entry in entries if isinstance(entry.command, Command)])
        queue = deque(entries)
        while queue:
            entry = queue.popleft()
            if self._is_decided(entry):
                continue
            entry.answer = self._answer(entry)
            if isinstance(entry.answer, NotYet):
                if self._is_overdue(entry):
                    entry.expired = True
                else:
                    for id_ in entry.answer.wakes_on:
                        self._waiting[id_].append(entry)
                    continue
            changed = {entry.key}
            if isinstance(entry.answer, Outcome):
                run = entry.answer.run
                self._changes.append(Change(entry.key, self._runs.get(run.id), run))
                self._runs[run.id] = run
                changed.add(run.id)
            self._woken |= changed
            for id_ in changed:
                queue.extend(self._waiting.pop(id_, ()))

    def _answer(self, entry: _Entry) -> Outcome | Rejected | InvalidMessage | NotYet:
        if isinstance(entry.command, InvalidMessage):
            return entry.command
        if entry.key in self._order.refused:
            return self._order.refused[entry.key]
        entry.undecided = tuple(key for key in entry.undecided if not self._is_decided_key(key))
        try:
            if entry.undecided:
                raise _after(entry.undecided)
            return handle(entry.command, self._facts)
        except (Rejected, NotYet) as answer:
            return answer

    def _is_decided(self, entry: _Entry) -> bool:
        return entry.expired or isinstance(entry.answer, Outcome | Rejected | InvalidMessage)

    def _is_decided_key(self, key: UUID) -> bool:
        entry, row = self._entries.get(key), self._known.get(key)
        return self._is_decided(entry) if entry else row is not None and row.status in DECIDED

    def _is_overdue(self, entry: _Entry) -> bool:
        return (
            self._order.expire
            and entry.row is not None
            and entry.row.expires_at is not None
            and entry.row.expires_at <= self._now
        )

    def _record(self) -> Decided:
        codes = self._codes_of_new_runs()
        for entry in self._entries.values():
            entry.verdict = self._verdict(entry, codes)
        delivered = Counter(command.idempotency_key for command in self._order.commands if self._is_same(command))
        new = [self._ledger_record(entry, delivered) for entry in self._entries.values() if entry.row is None]
        moved = [
            self._ledger_record(entry, delivered)
            for entry in self._entries.values()
            if entry.row is not None and entry.verdict and entry.verdict.as_dict() != entry.row.verdict
        ]
        ledger.write(self._connection, new, moved, self._now)
        ledger.count_deliveries(
            self._connection, {key: times for key, times in delivered.items() if key in self._known}
        )
        write_changes(self._connection, self._changes, codes)
        return Decided(
            verdicts=[self._verdict_for(command) for command in self._order.commands],
            late={
                entry.row.task_id: entry.verdict
                for entry in self._entries.values()
                if entry.row and entry.row.task_id and entry.verdict and entry.verdict.decided
            },
            woken=self._woken,
        )

    def _codes_of_new_runs(self) -> dict[UUID, str]:
        by_site: defaultdict[str, list[UUID]] = defaultdict(list)
        for change in self._changes:
            if change.before is None and change.after.site_code:
                by_site[change.after.site_code].append(change.after.id)
        codes: dict[UUID, str] = {}
        for site_code, runs in sorted(by_site.items()):
            codes |= zip(runs, take_run_codes(self._tools.numbers, site_code, self._now.date(), len(runs)), strict=True)
        return codes

    def _verdict(self, entry: _Entry, codes: Mapping[UUID, str]) -> Verdict:
        command, answer = entry.command, entry.answer
        about: dict[str, Any] = {"idempotency_key": entry.key}
        if isinstance(command, Command):
            about |= {"command": command.name, "run_id": command.target_run}
        else:
            about |= {"command": entry.row.command if entry.row else None}
        match answer:
            case Outcome(run=run, state=state):
                own = {
                    "run_code": run.run_code or codes[run.id],
                    "run_status": str(run.status),
                    "current_step_index": run.current_step_index,
                    "flow_version_id": str(run.flow_version_id) if run.flow_version_id else None,
                }
                return Verdict(CommandStatus.APPLIED, **about, state={**own, **state})
            case NotYet() if entry.expired:
                waited = f"waited in vain: {answer.message}"
                return Verdict(
                    CommandStatus.EXPIRED,
                    **about,
                    code=Code.WAIT_EXPIRED,
                    message=waited,
                    waiting_for=answer.waiting_for,
                )
            case NotYet():
                return Verdict(CommandStatus.WAITING, **about, message=answer.message, waiting_for=answer.waiting_for)
            case Rejected() | InvalidMessage():
                return Verdict(
                    CommandStatus.REJECTED, **about, code=answer.code, message=answer.message, state=answer.facts
                )
            case None:
                raise AssertionError("every entry has been judged")

    def _ledger_record(self, entry: _Entry, delivered: Mapping[UUID, int]) -> ledger.Record:
        assert entry.verdict is not None  # noqa: S101 - _record has just set it
        waiting = isinstance(entry.answer, NotYet) and not entry.expired
        return ledger.Record(
            key=entry.key,
            command=entry.command if isinstance(entry.command, Command) else None,
            verdict=entry.verdict,
            wakes_on=entry.answer.wakes_on if isinstance(entry.answer, NotYet) and waiting else (),
            task_id=self._order.task_ids.get(entry.key),
            deliveries=delivered.get(entry.key, 1),
            expires_at=self._expires_at(entry) if waiting else None,
        )

    def _expires_at(self, entry: _Entry) -> datetime:
        given_before = entry.row.expires_at if entry.row else None
        return given_before or self._now + timedelta(seconds=self._tools.settings.wait_seconds)

    def _is_same(self, command: Command) -> bool:
        """Whether a delivered command asks what its key stands for."""
        row = self._known.get(command.idempotency_key)
        if row is not None and row.payload_sha256 is not None:
            return row.payload_sha256 == command.fingerprint()
        original = self._entries[command.idempotency_key].command
        return original is command or (
            isinstance(original, Command) and original.fingerprint() == command.fingerprint()
        )

    def _verdict_for(self, command: Command) -> Verdict:
        key = command.idempotency_key
        row, entry = self._known.get(key), self._entries.get(key)
        if not self._is_same(command):
            return _reused(command, row)
        if entry is None or entry.verdict is None:
            return Verdict.from_dict(row.verdict).as_replay()  # type: ignore[union-attr,arg-type] # decided rows have a verdict
        brought_it = command is self._first[key] and (row is None or row.status is CommandStatus.QUEUED)
        return entry.verdict if brought_it else entry.verdict.as_replay()


def _stored_command(row: ledger.Row) -> Command | InvalidMessage:
    try:
        return parse(row.command, row.payload | {"idempotency_key": str(row.idempotency_key)})
    except InvalidMessage as error:
        return error


def _after(undecided: tuple[UUID, ...]) -> NotYet:
    keys = [str(key) for key in undecided]
    return NotYet(
        f"{'command' if len(keys) == 1 else 'commands'} {', '.join(keys)} of `after` not decided yet",
        waiting_for={"after": keys},
        wakes_on=undecided,
    )


def _reused(command: Command, row: ledger.Row | None) -> Verdict:
    first = (
        f"a {row.command} received at {row.received_at:%Y-%m-%d %H:%M:%SZ}" if row else "another command of this batch"
    )
    return Verdict(
        CommandStatus.REJECTED,
        command.name,
        command.idempotency_key,
        code=Code.IDEMPOTENCY_KEY_REUSED,
        message=f"the key belongs to {first} with another payload; a new command needs a new key",
    )
