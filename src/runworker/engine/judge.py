"""Judging a batch: every command against the facts, and the commands that a decision wakes, until none moves."""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command
from runworker.engine.batch import BatchRequest, Judgement, PendingCommand, Resources
from runworker.engine.changes import Change
from runworker.engine.snapshot import Snapshot
from runworker.engine.sql.ledger_rows import LedgerRow
from runworker.errors import InvalidMessage, NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Outcome
from runworker.states import DECIDED_COMMANDS, CommandStatus


class Judge:
    """Judges the commands of one batch, and keeps their changes to the facts.

    commands: all that were judged, by key. changes: to be written, in order. changed_ids: of commands that were decided
    and of the entities that they changed.
    """

    def __init__(
        self,
        connection: Connection,
        resources: Resources,
        request: BatchRequest,
        now: datetime,
        known: Mapping[UUID, LedgerRow],
    ) -> None:
        self.commands: dict[UUID, PendingCommand] = {}
        self.changes: list[Change] = []
        self.changed_ids: set[UUID] = set()
        self._request = request
        self._now = now
        self._known = known
        self._waiting: defaultdict[UUID, dict[UUID, PendingCommand]] = defaultdict(dict)
        self._snapshot = Snapshot(connection, resources, now)

    def judge(self, commands: Collection[PendingCommand]) -> None:
        """Judge `commands` in their order."""
        self.commands.update((pending.key, pending) for pending in commands)
        self._snapshot.load([pending.command for pending in commands if isinstance(pending.command, Command)])
        queue = deque(commands)
        while queue:
            pending = queue.popleft()
            if pending.is_decided:
                continue
            pending.judgement = self._judge_one(pending)
            pending.expired = isinstance(pending.judgement, NotYet) and self._is_overdue(pending)
            if isinstance(pending.judgement, NotYet) and not pending.expired:
                for id_ in pending.judgement.blocked_on:
                    self._waiting[id_][pending.key] = pending
            else:
                queue.extend(self._wake(pending))

    def _judge_one(self, pending: PendingCommand) -> Judgement:
        if isinstance(pending.command, InvalidMessage):
            return pending.command
        if pending.key in self._request.refused:
            return self._request.refused[pending.key]
        pending.awaited_keys = tuple(key for key in pending.awaited_keys if not self._lets_go_on(key, pending))
        if pending.awaited_keys:
            return _after(pending.awaited_keys)
        try:
            return handle(pending.command, self._snapshot.facts)
        except (Rejected, NotYet) as judgement:
            return judgement

    def _wake(self, pending: PendingCommand) -> list[PendingCommand]:
        """Take in the changes of a decision. Returns the commands that waited for it."""
        self.changed_ids.add(pending.key)
        woken = list(self._waiting.pop(pending.key, {}).values())
        if isinstance(pending.judgement, Outcome):
            change = Change(
                pending.key, self._snapshot.before(pending.judgement), pending.judgement, pending.judgement.changed_ids
            )
            self.changes.append(change)
            self._snapshot.take_in(pending.judgement)
            self.changed_ids |= change.ids
            # Commands put after this very command go before those that waited for an entity only.
            woken += [waiting for id_ in sorted(change.ids) for waiting in self._waiting.pop(id_, {}).values()]
        return woken

    def _lets_go_on(self, key: UUID, pending: PendingCommand) -> bool:
        """Whether a key of `after` is decided. Its expiry lets nobody go on whose own time was up by then."""
        if awaited := self.commands.get(key):
            return awaited.is_decided and not (awaited.expired and self._is_overdue(pending))
        row = self._known.get(key)
        if row is None or row.status not in DECIDED_COMMANDS:
            return False
        expired_at = row.decided_at if row.status is CommandStatus.EXPIRED else None
        return not (expired_at and self._is_overdue(pending, at=expired_at))

    def _is_overdue(self, pending: PendingCommand, at: datetime | None = None) -> bool:
        expires_at = pending.row.expires_at if pending.row else None
        if expires_at is None or self._request.expire is None:
            return False
        return expires_at <= min(at or self._now, self._request.expire)


def _after(awaited_keys: tuple[UUID, ...]) -> NotYet:
    keys = [str(key) for key in awaited_keys]
    return NotYet(
        f"{'command' if len(keys) == 1 else 'commands'} {', '.join(keys)} of `after` not decided yet",
        waiting_for={"after": keys},
        blocked_on=awaited_keys,
    )
