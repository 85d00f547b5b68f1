"""Commands together and, where that fails, apart: each part in a transaction of its own.

A batch that the database refuses is split until the bad command stands alone. What meets a lock, or a rule that is none
of ours, is left as it is, and the rest goes on without it.
"""

import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from runworker.codes import Code
from runworker.commands import Command
from runworker.engine.asked import Asked, Places
from runworker.engine.batch import BatchRequest, BatchResult, PendingCommand
from runworker.engine.constraints import as_rejection, is_passing, reason, sqlstate
from runworker.engine.obstacles import PAUSE_SECONDS, Needs, Obstacles, needs
from runworker.engine.sql import ledger
from runworker.engine.sql.arrays import Uuids
from runworker.engine.sql.dead_letters import NewDeadLetter, body_of_stored
from runworker.engine.transactions import Transactions
from runworker.errors import Blocked, Rejected, Unavailable
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)


class _NotKept(Exception):
    """A fault of ours that could not be put into dead_letters: its command stays undecided."""


class Splitter:
    """Applies commands and judges stored ones, and remembers what stood in the way of some. Raises Unavailable."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._obstacles = Obstacles()

    def apply(self, asked: Asked) -> None:
        """Apply commands, and take down the verdict of each, or why it is left."""
        apart: set[int] = set()
        if self._obstacles.are_any:
            apart = {place for place, each in enumerate(asked.commands) if self._obstacles.are_known_to(_needs(each))}
        self._apply(asked, [place for place in range(len(asked.commands)) if place not in apart])
        if apart:
            self._apply_apart(asked, sorted(apart))

    def _apply_apart(self, asked: Asked, places: Places) -> None:
        """Apply what is known to be blocked one by one, and what is found to be so no more together, after that.

        One that is about anything that such a one is about, too, stays behind it.
        """
        asked.hurry()
        released: list[int] = []
        about: set[UUID] = set()
        for place in places:
            needed = _needs(asked.commands[place])
            if self._obstacles.are_known_to(needed) and about.isdisjoint(needed):
                self._apply_part(asked, [place])
            else:
                released.append(place)
                about |= needed
        self._apply_part(asked, released)

    def _apply(self, asked: Asked, places: Places) -> None:
        """Apply some of the commands in one transaction, or else apart."""
        if not places:
            return
        try:
            result = self._transactions.process(asked.request(places), hasty=asked.hasty)
        except Unavailable:
            raise
        except Exception as error:
            _log_split(error, commands=len(places))
            asked.meet(error)
            if len(places) > 1:
                middle = len(places) // 2
                self._apply_part(asked, places[:middle])
                self._apply_part(asked, places[middle:])
            else:
                self._apply_alone(asked, places[0], error)
        else:
            asked.answer(places, result.verdicts)
            self._obstacles.pass_by(_needs(asked.commands[place]) for place in places)

    def _apply_part(self, asked: Asked, places: Places) -> None:
        """Apply a part of what could not be applied as a whole, but for what is known to be blocked."""
        if asked.is_over:
            asked.leave("there was no time to look for it")
            return
        free = [place for place in places if not self._obstacles.block(_needs(asked.commands[place]))]
        if len(free) < len(places):
            asked.leave("as it was a moment ago")
        self._apply(asked, free)

    def _apply_alone(self, asked: Asked, place: int, error: Exception) -> None:
        """Apply a command that failed by itself, or leave it with what is in its way."""
        command = asked.commands[place]
        try:
            if is_passing(error):
                raise error  # noqa: TRY301 - as what is met on the way
            verdict, are_woken = self._decide_alone(command, asked.task_ids)
        except Unavailable:
            raise
        except Exception as met:
            if not (is_passing(met) or isinstance(met, _NotKept)):
                raise
            self._meet(met, command.idempotency_key, command)
            asked.leave(met)
        else:
            if are_woken:
                asked.answer([place], [verdict])
            else:  # delivered again, it wakes them again
                asked.leave("a command that waited for it")

    def _decide_alone(self, command: Command, task_ids: Mapping[UUID, str]) -> tuple[Verdict, bool]:
        """Apply a command without those that wait for it, of which one may be the bad one, and then each of those.

        Returns the verdict, and whether all that waited were judged.
        """
        try:
            result = self._transactions.process(BatchRequest([command], task_ids, wake=False))
        except Unavailable:
            raise
        except Exception as error:
            if is_passing(error):
                raise
            rejection = as_rejection(error)
            if rejection is None:
                return self._fail(command, error), True
            refused = {command.idempotency_key: rejection}
            result = self._transactions.process(BatchRequest([command], task_ids, refused=refused, wake=False))
        return result.verdicts[0], not self._judge_each(self._waiting_for(result.changed_ids))

    def _fail(self, command: Command, error: Exception) -> Verdict:
        body = [[], {"idempotency_key": str(command.idempotency_key), **command.payload}, {}]
        letter_id = self._keep_failed(error, json.dumps(body, sort_keys=True).encode(), command)
        return Verdict(
            CommandStatus.REJECTED,
            command.name,
            command.idempotency_key,
            run_id=command.target_run,
            code=Code.INTERNAL_ERROR,
            message="runworker failed on this command; it is kept in dead_letters and can be replayed",
            state={"dead_letter": letter_id},
            payload_sha256=command.fingerprint.hex(),
        )

    def keep(self, letter: NewDeadLetter) -> int:
        """Keep a dead letter and return its id. Raises Blocked where something stands in its way."""
        needed = needs(letter.key, None)
        if self._obstacles.block(needed):
            raise Blocked("the dead letter cannot be kept, as it was a moment ago", [], PAUSE_SECONDS)
        try:
            letter_id = self._transactions.keep(letter)
        except Unavailable:
            raise
        except Exception as error:
            self._obstacles.meet(error, letter.key, None)
            raise Blocked(f"the dead letter cannot be kept: {reason(error)}", [], PAUSE_SECONDS) from error
        self._obstacles.pass_by([needed])
        return letter_id

    def judge(self, keys: Sequence[UUID], *, expire: datetime | None, share: bool = False) -> set[UUID]:
        """Judge stored commands in one transaction, or else apart. Returns the keys of those that are left."""
        known = self._read(keys) if self._obstacles.are_any else {}
        apart = [key for key, command in known.items() if self._obstacles.are_known_to(needs(key, command))]
        together = [key for key in keys if key not in apart] if apart else keys
        left: set[UUID] = set()
        try:
            if together:
                left = self._transactions.process(BatchRequest(stored=together, expire=expire, share=share)).left
        except Unavailable:
            raise
        except Exception as error:
            _log_split(error, stored=len(together))
            apart = list(keys)
        return left | self._judge_each(apart, expire=expire)

    def wake(self, changed_ids: Collection[UUID]) -> None:
        """Judge the commands that wait for a change of any of these ids, each by itself."""
        self._judge_each(self._waiting_for(changed_ids))

    def _judge_each(self, keys: Iterable[UUID], *, expire: datetime | None = None) -> set[UUID]:
        """Judge stored commands, and then those that waited for them, each in a transaction of its own.

        Returns the keys of those that were left as they are. None of them keeps the others from being judged.
        """
        left: set[UUID] = set()
        queue = deque(self._read(keys).items())
        while queue:
            key, command = queue.popleft()
            needed = needs(key, command)
            if self._obstacles.block(needed):
                left.add(key)
                continue
            # What was in its way may have kept its turn from coming, too: that is given until the next sweep.
            in_time = None if self._obstacles.are_known_to(needed) else expire
            try:
                changed_ids = self._judge_alone(key, expire=in_time).changed_ids
            except Unavailable:
                raise
            except Exception as error:
                # Of any kind: one whose fault can neither be told nor kept is for the next round as well.
                self._meet(error, key, command)
                left.add(key)
            else:
                self._obstacles.pass_by([needed])
                if in_time != expire:
                    left.add(key)
                queue.extend(self._read(self._waiting_for(changed_ids)).items())
        return left

    def _judge_alone(self, key: UUID, *, expire: datetime | None) -> BatchResult:
        try:
            return self._transactions.process(BatchRequest(stored=[key], expire=expire, wake=False), hasty=True)
        except Unavailable:
            raise
        except Exception as error:
            if is_passing(error):
                raise
            rejection = as_rejection(error)
            if rejection is None:
                self._keep_failed(error, body_of_stored(key))
                rejection = Rejected(
                    Code.INTERNAL_ERROR, "runworker failed on this command; operations find it in dead_letters"
                )
            return self._transactions.process(BatchRequest(stored=[key], refused={key: rejection}, wake=False))

    def _read(self, keys: Iterable[UUID]) -> dict[UUID, Command | None]:
        """Stored commands by key, in the order of `keys`; None for those that cannot be read."""
        commands: dict[UUID, Command | None] = dict.fromkeys(keys)
        if not commands:
            return commands
        rows = self._transactions.run(lambda connection: ledger.peek(connection, list(commands)))
        for row in rows:
            command = PendingCommand.of_row(row).command
            commands[row.idempotency_key] = command if isinstance(command, Command) else None
        return commands

    def _waiting_for(self, changed_ids: Collection[UUID]) -> list[UUID]:
        if not changed_ids:
            return []
        given = {"changed_ids": Uuids(changed_ids)}
        return self._transactions.run(lambda connection: list(connection.execute(ledger.BLOCKED, given).scalars()))

    def _meet(self, error: Exception, key: UUID, command: Command | None) -> None:
        if self._obstacles.meet(error, key, command):
            _log.warning(
                "command.blocked",
                key=str(key),
                error=type(error).__name__,
                sqlstate=sqlstate(error),
                reason=reason(error),
            )

    def _keep_failed(self, error: Exception, raw_body: bytes, command: Command | None = None) -> int:
        _log.exception("command.failed", key=str(command.idempotency_key) if command else None)
        letter = NewDeadLetter(
            raw_body=raw_body,
            task_name=f"runworker.{command.name}" if command else None,
            task_id=str(command.idempotency_key) if command else None,
            code=Code.INTERNAL_ERROR,
            error=f"{type(error).__name__}: {error}",
        )
        try:
            return self.keep(letter)
        except Unavailable as unkept:
            raise _NotKept(str(unkept)) from unkept


def _needs(command: Command) -> Needs:
    return needs(command.idempotency_key, command)


def _log_split(error: Exception, **parts: int) -> None:
    _log.info("batch.split", error=type(error).__name__, sqlstate=sqlstate(error), reason=reason(error), **parts)
