"""A small plant in memory: what the engine shall do, said again in fewer words and without a database.

It is one process, so nothing here is about transactions but this: a batch is a queue of commands judged one by one, a
decision puts those that waited for it at the queue's end, and what the database refuses is tried again in halves.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from tests.lifecycles.rules import judge
from tests.lifecycles.world import Early, Refused, Sunk, World

from runworker.commands import Command


@dataclass
class Record:
    """What is known of a command. number: of the batch that brought it. waits_for: ids whose change lets it go on.

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
    def blocked_on(self) -> set[UUID]:
        """Ids whose change has it judged again by another batch: all that it is about."""
        return self.waits_for | self.command.targets if self.status == "WAITING" else set()

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
    """A world, and the ledger of what was asked of it."""

    def __init__(self, world: World) -> None:
        self.world = world
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

    def sweep(self) -> None:
        """Take in what was put into the ledger."""
        queued = self.queued()
        try:
            self._do([], swept=queued)
        except Sunk:
            self._do_each(queued)

    def apply(self, delivered: Sequence[Command]) -> list[Answer]:
        """Do a batch; in halves if the database refuses it. Returns an answer for every delivery."""
        try:
            return self._do(delivered)[0]
        except Sunk:
            if len(delivered) > 1:
                middle = len(delivered) // 2
                return self.apply(delivered[:middle]) + self.apply(delivered[middle:])
            answers, woken = self._do_alone(delivered, key=delivered[0].idempotency_key)
            self._do_each(self._waiting_for(woken))
            return answers

    def _do_each(self, keys: Iterable[UUID]) -> None:
        """Judge what is in the ledger, each by itself, then those that waited for it."""
        queue = deque(keys)
        while queue:
            key = queue.popleft()
            queue.extend(self._waiting_for(self._do_alone(swept=[key], key=key)[1]))

    def _do_alone(
        self, delivered: Sequence[Command] = (), swept: Collection[UUID] = (), *, key: UUID
    ) -> tuple[list[Answer], set[UUID]]:
        try:
            return self._do(delivered, swept, alone=True)
        except Sunk as sunk:
            return self._do(delivered, swept, alone=True, refused={key: str(sunk)})

    def _waiting_for(self, woken: set[UUID]) -> list[UUID]:
        return [
            record.key for record in _oldest_first(each for each in self.ledger.values() if each.blocked_on & woken)
        ]

    def _do(
        self,
        delivered: Sequence[Command],
        swept: Collection[UUID] = (),
        *,
        alone: bool = False,
        refused: Mapping[UUID, str] = {},
    ) -> tuple[list[Answer], set[UUID]]:
        """Do one batch; `alone`, without those that wait for it. When it is sunk, nothing has happened."""
        before = self.world.copy(), {key: replace(record) for key, record in self.ledger.items()}, {*self.told_late}
        try:
            return self._do_what_may_sink(delivered, swept, alone, refused)
        except Sunk:
            self.world, self.ledger, self.told_late = before
            raise

    def _do_what_may_sink(
        self, delivered: Sequence[Command], swept: Collection[UUID], alone: bool, refused: Mapping[UUID, str]
    ) -> tuple[list[Answer], set[UUID]]:
        self._batches += 1
        answered = {key for key, record in self.ledger.items() if record.status != "QUEUED"}
        asked = [*delivered, *(self.ledger[key].command for key in swept)]
        brought = {command.idempotency_key for command in delivered}
        covered = {*brought, *swept} | {id_ for command in asked for id_ in command.targets}
        looked_at = {*brought, *swept} if alone else {*brought, *swept, *(key for each in asked for key in each.after)}
        stored = [
            record
            for record in self.ledger.values()
            if (record.status == "WAITING" and (record.key in looked_at or (not alone and record.blocked_on & covered)))
            or (record.status == "QUEUED" and (record.key in swept or any(record.is_same(each) for each in delivered)))
        ]
        fresh: list[Record] = []
        for command in delivered:
            if command.idempotency_key not in self.ledger:
                fresh.append(Record(command, self._batches))
                self.ledger[command.idempotency_key] = fresh[-1]
        batch = _Batch(self, [*fresh, *_oldest_first(stored)], refused)
        if not alone:
            batch.go_on_beyond(covered)
        for record in (*fresh, *stored):
            record.has_task |= record.key in brought
        return [self._answer(command, answered) for command in delivered], batch.woken

    def _answer(self, command: Command, answered: set[UUID]) -> Answer:
        record = self.ledger[command.idempotency_key]
        if record.status == "QUEUED" or not record.is_same(command):
            return Answer("REJECTED", "IDEMPOTENCY_KEY_REUSED", False, {})
        answer = Answer(record.status, record.code, record.key in answered, record.told)
        answered.add(record.key)
        return answer


class _Batch:
    """Commands being judged, and who of them waits for whom. woken: ids that were touched."""

    def __init__(self, plant: Plant, records: Sequence[Record], refused: Mapping[UUID, str]) -> None:
        self.woken: set[UUID] = set()
        self._plant = plant
        self._refused = refused
        self._seen: set[UUID] = set()
        self._waiting: dict[UUID, dict[UUID, Record]] = {}
        self._judge(records)

    def go_on_beyond(self, covered: set[UUID]) -> None:
        """Judge what waits elsewhere for what was decided here, until nobody does."""
        while changed := self.woken - covered:
            covered |= changed
            self._judge(
                _oldest_first(
                    record
                    for record in self._plant.ledger.values()
                    if record.blocked_on & changed and record.key not in self._seen
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
        plant, waited = self._plant, record.status == "WAITING" and record.has_task
        changed = [record.key]
        try:
            self._refuse_what_is_known(record.key)
            self._keep_order(record.command)
            done = judge(record.command, plant.world)
        except Early as early:
            record.status, record.told, record.waits_for = "WAITING", early.told, early.waits_for
            for id_ in early.waits_for:
                self._waiting.setdefault(id_, {})[record.key] = record
            return []
        except Refused as refused:
            record.status, record.code, record.told = "REJECTED", str(refused), {}
        else:
            record.status, record.told = "APPLIED", done.told
            changed += sorted(done.touched)
        if waited:
            plant.told_late.add(record.key)
        self.woken |= set(changed)
        return [each for id_ in changed for each in self._waiting.pop(id_, {}).values()]

    def _refuse_what_is_known(self, key: UUID) -> None:
        if key in self._refused:
            raise Refused(self._refused[key])

    def _keep_order(self, command: Command) -> None:
        ledger = self._plant.ledger
        undecided = [key for key in command.after if key not in ledger or not ledger[key].decided]
        if undecided:
            raise Early({"after": [str(key) for key in undecided]}, {*undecided})


def _oldest_first(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.number, record.key))
