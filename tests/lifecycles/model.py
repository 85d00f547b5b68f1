"""A small plant in memory: what the engine shall do, said again in fewer words and without a database.

It is one process, so nothing here is about transactions: a batch is a queue of commands judged one by one, and a
decision puts those that waited for it at the queue's end.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.lifecycles.rules import Early, Refused, Run, judge

from runworker.commands import Command


@dataclass
class Record:
    """What is known of a command. number: of the batch that brought it. waits_for: ids whose change wakes it.

    told: what its verdict says besides the code. has_task: whether a message brought it, whom its end is told.
    """

    command: Command
    number: int
    status: str = "NEW"
    code: str | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    waits_for: set[UUID] = field(default_factory=set)
    has_task: bool = False

    @property
    def key(self) -> UUID:
        """The command's key."""
        return self.command.idempotency_key

    @property
    def decided(self) -> bool:
        """Whether its status is final."""
        return self.status in ("APPLIED", "REJECTED")

    def is_same(self, command: Command) -> bool:
        """Whether a delivered command asks what this one asks."""
        return self.key == command.idempotency_key and self.command.fingerprint == command.fingerprint


@dataclass(frozen=True)
class Answer:
    """What a sender is told."""

    status: str
    code: str | None
    replayed: bool
    told: Mapping[str, Any]


class Plant:
    """users: role by id. versions: planned indices of a version in force, or the code that refuses it."""

    def __init__(self, users: Mapping[UUID, str], versions: Mapping[UUID, Sequence[int] | str]) -> None:
        self.users = users
        self.versions = versions
        self.runs: dict[UUID, Run] = {}
        self.ledger: dict[UUID, Record] = {}
        self.told_late: set[UUID] = set()
        self._batches = 0

    def put_into_ledger(self, command: Command) -> None:
        """As an upstream does in its own transaction."""
        self._batches += 1
        self.ledger[command.idempotency_key] = Record(command, self._batches, "QUEUED")

    def queued(self) -> list[UUID]:
        """Keys that a sweep finds."""
        return [key for key, record in self.ledger.items() if record.status == "QUEUED"]

    def apply(self, delivered: Sequence[Command], swept: Collection[UUID] = ()) -> list[Answer]:
        """Do a batch. Returns an answer for every delivery."""
        self._batches += 1
        answered = {key for key, record in self.ledger.items() if record.status != "QUEUED"}
        asked = [*delivered, *(self.ledger[key].command for key in swept)]
        named = {key for command in asked for key in (command.idempotency_key, *command.after)}
        covered = {command.idempotency_key for command in delivered}
        covered |= {command.target_run for command in asked if command.target_run}
        stored = [
            record
            for record in self.ledger.values()
            if (record.status == "WAITING" and (record.key in named or record.waits_for & covered))
            or (record.status == "QUEUED" and (record.key in swept or any(record.is_same(each) for each in delivered)))
        ]
        fresh: list[Record] = []
        for command in delivered:
            if command.idempotency_key not in self.ledger:
                fresh.append(Record(command, self._batches))
                self.ledger[command.idempotency_key] = fresh[-1]
        _Batch(self, [*fresh, *_oldest_first(stored)]).go_on_beyond(covered)
        brought = {command.idempotency_key for command in delivered}
        for record in (*fresh, *stored):
            record.has_task |= record.key in brought
        return [self._answer(command, answered) for command in delivered]

    def _answer(self, command: Command, answered: set[UUID]) -> Answer:
        record = self.ledger[command.idempotency_key]
        if record.status == "QUEUED" or not record.is_same(command):
            return Answer("REJECTED", "IDEMPOTENCY_KEY_REUSED", False, {})
        answer = Answer(record.status, record.code, record.key in answered, record.told)
        answered.add(record.key)
        return answer


class _Batch:
    """Commands being judged, and who of them waits for whom."""

    def __init__(self, plant: Plant, records: Sequence[Record]) -> None:
        self._plant = plant
        self._seen: set[UUID] = set()
        self._woken: set[UUID] = set()
        self._waiting: dict[UUID, dict[UUID, Record]] = {}
        self._judge(records)

    def go_on_beyond(self, covered: set[UUID]) -> None:
        """Judge what waits elsewhere for what was decided here, until nobody does."""
        while changed := self._woken - covered:
            covered |= changed
            self._judge(
                _oldest_first(
                    record
                    for record in self._plant.ledger.values()
                    if record.status == "WAITING" and record.waits_for & changed and record.key not in self._seen
                )
            )

    def _judge(self, records: Sequence[Record]) -> None:
        queue = deque(records)
        self._seen |= {record.key for record in records}
        while queue:
            record = queue.popleft()
            if not record.decided:
                queue.extend(self._decide(record))

    def _decide(self, record: Record) -> list[Record]:
        """Judge one. Returns those that its decision wakes."""
        plant, command, waited = self._plant, record.command, record.status == "WAITING" and record.has_task
        changed = [record.key]
        try:
            self._keep_order(command)
            run = judge(command, plant.users, plant.versions, plant.runs)
        except Early as early:
            record.status, record.told, record.waits_for = "WAITING", early.told, early.waits_for
            for id_ in early.waits_for:
                self._waiting.setdefault(id_, {})[record.key] = record
            return []
        except Refused as refused:
            record.status, record.code, record.told = "REJECTED", str(refused), {}
        else:
            run.changed_by.append(record.key)
            record.status, record.told = "APPLIED", {"run_status": run.status, "current_step_index": run.step}
            changed.append(command.target_run)
        if waited:
            plant.told_late.add(record.key)
        self._woken |= set(changed)
        return [each for id_ in changed for each in self._waiting.pop(id_, {}).values()]

    def _keep_order(self, command: Command) -> None:
        ledger = self._plant.ledger
        undecided = [key for key in command.after if key not in ledger or not ledger[key].decided]
        if undecided:
            creates = {command.target_run} if command.name == "start_run" else set()
            raise Early({"after": [str(key) for key in undecided]}, {*undecided, *creates})


def _oldest_first(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.number, record.key))
