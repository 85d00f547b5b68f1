"""The engine's door: `Engine.apply` for commands that come, `Engine.judge_again` for those that the ledger has.

Around the transaction of a batch it does four things: while the server fails, the batch is tried again with backoff and
jitter; a batch that the database refuses is split until the bad command stands alone; what meets a lock, or a rule that
is none of ours, is left as it is, and the rest goes on without it; and verdicts that were decided late are told.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Select

from runworker.codes import Code
from runworker.commands import Command
from runworker.config import Settings
from runworker.engine.asked import Asked, Places
from runworker.engine.batch import BatchRequest, BatchResult, Judged, Resources
from runworker.engine.constraints import as_rejection, is_passing, reason, sqlstate
from runworker.engine.obstacles import Obstacles, needs
from runworker.engine.process import process
from runworker.engine.retrying import WHATEVER_FAILS, Result, retried
from runworker.engine.sql import ledger
from runworker.engine.sql.arrays import Uuids
from runworker.engine.sql.connection import connect
from runworker.engine.sql.dead_letters import NewDeadLetter, store
from runworker.engine.sql.versions import Plans
from runworker.errors import Rejected, Unavailable
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)
_LOGGED: Final = logging.getLogger(__name__)
"""Tells whether a level is logged, a hundred times faster than structlog's logger does."""

_HASTY: Final = "SET LOCAL lock_timeout = 250"
"""Milliseconds for each part of a batch that has been waiting for a lock, until it is known whose lock that is."""

LateVerdicts = Callable[[Mapping[str, Verdict]], None]


def _tell_nobody(_verdicts: Mapping[str, Verdict]) -> None:
    return


class _NotKept(Exception):
    """A fault of ours that could not be put into dead_letters: its command stays undecided."""


class Engine:
    """Applies commands to one database. Safe to share between threads; not between processes.

    tell_late: given verdicts by task id of commands that had been answered WAITING, after their commit.
    """

    def __init__(self, settings: Settings, tell_late: LateVerdicts = _tell_nobody) -> None:
        self._settings = settings
        self.database = connect(settings, plan_once=True)
        self._resources = Resources(settings, counter_pool=connect(settings), plans=Plans())
        self._tell_late = tell_late
        self._obstacles = Obstacles()

    def close(self) -> None:
        """Close all connections."""
        self.database.dispose()
        self._resources.counter_pool.dispose()

    def apply(self, commands: Sequence[Command], task_ids: Mapping[UUID, str] | None = None) -> list[Verdict]:
        """Apply commands, in order where order matters, and return a verdict for each.

        task_ids: Celery task ids by idempotency key, kept so that a late verdict finds its result.
        Raises Unavailable when PostgreSQL stays away for `retry_seconds`; the transaction that failed wrote nothing.
        Raises Blocked, with the verdicts of the others, where something stands in the way of some commands.
        """
        asked = Asked(list(commands), task_ids or {})
        apart = {place for place, each in enumerate(asked.commands) if self._obstacles.are_known_to(needs(each))}
        self._apply(asked, [place for place in range(len(asked.commands)) if place not in apart])
        if apart:
            asked.hasty = True
            self._apply_part(asked, sorted(apart))
        return asked.told()

    def judge_again(self, keys: Sequence[UUID]) -> int:
        """Judge stored commands once more.

        Waits for other batches at work on what they are about. Returns how many were judged: those that met something
        in their way are left as they are, and so is one whose fault cannot even be kept. Raises Unavailable as `apply`.
        """
        return len(set(keys) - self._judge_stored(keys, expire=None))

    def judge_found(
        self, found: Select[UUID, int], most: int, leave: Collection[UUID], *, expire: datetime | None = None
    ) -> Judged:
        """Judge stored commands once more, in one transaction: the first `most` that a statement finds.

        found: QUEUED or OVERDUE of `engine.sql.ledger`. expire: commands whose time was up by then become EXPIRED.
        leave: keys to be left out. Those that another batch is at work on, or on what they are about, are left for it:
        several workers share what there is. Raises Unavailable as `apply` does.
        """

        def read() -> list[UUID]:
            with self.database.begin() as connection:
                return ledger.find(connection, found, most, passed_over=Uuids(leave), seen_until=expire)

        keys = self._retried(read)
        left = self._judge_stored(keys, expire=expire, share=True) if keys else set()
        return Judged(len(set(keys) - left), left)

    def keep(self, letter: NewDeadLetter) -> int:
        """Put an unreadable message into dead_letters. Returns its id.

        Raises Unavailable, after `retry_seconds`, whatever the reason. The caller puts the message back: it would be
        lost with a letter that is not kept.
        """
        return retried(lambda: store(self.database, letter), self._settings.retry_seconds, WHATEVER_FAILS)

    def verdicts(self, keys: Sequence[UUID]) -> dict[UUID, Verdict]:
        """Stored verdicts by key; keys that are unknown or not judged yet are absent."""

        def read() -> dict[UUID, Verdict]:
            with self.database.begin() as connection:
                rows = ledger.peek(connection, keys)
            return {row.idempotency_key: row.told for row in rows if row.status is not CommandStatus.QUEUED}

        return self._retried(read)

    def _apply(self, asked: Asked, places: Places) -> None:
        """Apply some of the commands in one transaction, or else apart."""
        if not places:
            return
        try:
            result = self._transact(asked.request(places), hasty=asked.hasty)
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
            self._obstacles.pass_by(needs(asked.commands[place]) for place in places)

    def _apply_part(self, asked: Asked, places: Places) -> None:
        """Apply a part of what could not be applied as a whole, but for what is known to be blocked."""
        if asked.is_over:
            asked.leave("there was no time to look for it")
            return
        free = [place for place in places if not self._obstacles.block(needs(asked.commands[place]))]
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
            self._obstacles.meet(needs(command))
            _log_blocked(met, command.idempotency_key)
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
            result = self._transact(BatchRequest([command], task_ids, wake=False))
        except Unavailable:
            raise
        except Exception as error:
            if is_passing(error):
                raise
            rejection = as_rejection(error)
            if rejection is None:
                return self._fail(command, error), True
            refused = {command.idempotency_key: rejection}
            result = self._transact(BatchRequest([command], task_ids, refused=refused, wake=False))
        return result.verdicts[0], not self._judge_each(self._waiting_for(result.changed_ids))

    def _fail(self, command: Command, error: Exception) -> Verdict:
        body = [[], {"idempotency_key": str(command.idempotency_key), **command.payload}, {}]
        letter_id = self._keep_failed(error, body, command)
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

    def _judge_stored(self, keys: Sequence[UUID], *, expire: datetime | None, share: bool = False) -> set[UUID]:
        """Judge stored commands in one transaction, or else apart. Returns the keys of those that are left."""
        apart = [key for key in keys if self._obstacles.are_known_to(frozenset((key,)))]
        together = [key for key in keys if key not in apart] if apart else keys
        left: set[UUID] = set()
        try:
            if together:
                left = self._transact(BatchRequest(stored=together, expire=expire, share=share)).left
        except Unavailable:
            raise
        except Exception as error:
            _log_split(error, stored=len(together))
            apart = list(keys)
        return left | self._judge_each(apart, expire=expire)

    def _judge_each(self, keys: Iterable[UUID], *, expire: datetime | None = None) -> set[UUID]:
        """Judge stored commands, and then those that waited for them, each in a transaction of its own.

        Returns the keys of those that were left as they are. None of them keeps the others from being judged.
        """
        left: set[UUID] = set()
        queue = deque(keys)
        while queue:
            key = queue.popleft()
            needed = frozenset((key,))
            if self._obstacles.block(needed):
                left.add(key)
                continue
            try:
                changed_ids = self._judge_alone(key, expire=expire).changed_ids
            except Unavailable:
                raise
            except Exception as error:
                # Of any kind: one whose fault can neither be told nor kept is for the next round as well.
                self._obstacles.meet(needed)
                _log_blocked(error, key)
                left.add(key)
            else:
                self._obstacles.pass_by([needed])
                queue.extend(self._waiting_for(changed_ids))
        return left

    def _judge_alone(self, key: UUID, *, expire: datetime | None) -> BatchResult:
        try:
            return self._transact(BatchRequest(stored=[key], expire=expire, wake=False), hasty=True)
        except Unavailable:
            raise
        except Exception as error:
            if is_passing(error):
                raise
            rejection = as_rejection(error)
            if rejection is None:
                self._keep_failed(error, {"stored": str(key)})
                rejection = Rejected(
                    Code.INTERNAL_ERROR, "runworker failed on this command; operations find it in dead_letters"
                )
            return self._transact(BatchRequest(stored=[key], refused={key: rejection}, wake=False))

    def _waiting_for(self, changed_ids: Collection[UUID]) -> list[UUID]:
        return self._keys(ledger.BLOCKED, changed_ids=Uuids(changed_ids)) if changed_ids else []

    def _keys(self, found: Select[UUID], **given: Uuids) -> list[UUID]:
        """Keys of ledger rows. found: a statement of `engine.sql.ledger`, and its parameters."""

        def read() -> list[UUID]:
            with self.database.begin() as connection:
                return list(connection.execute(found, given).scalars())

        return self._retried(read)

    def _transact(self, request: BatchRequest, *, hasty: bool = False) -> BatchResult:
        result = self._retried(lambda: self._attempt(request, hasty=hasty))
        for verdict in (*result.verdicts, *result.late.values()):
            _log_verdict(verdict)
        if result.late:
            try:
                self._tell_late(result.late)
            except Exception:
                # Committed is committed. A sender that is not told now asks for the stored verdict.
                _log.exception("verdict.untold", task_ids=list(result.late))
        return result

    def _retried(self, work: Callable[[], Result]) -> Result:
        return retried(work, self._settings.retry_seconds)

    def _attempt(self, request: BatchRequest, *, hasty: bool) -> BatchResult:
        with self.database.begin() as connection:
            if hasty:
                connection.exec_driver_sql(_HASTY)
            return process(connection, self._resources, request)

    def _keep_failed(self, error: Exception, payload: object, command: Command | None = None) -> int:
        _log.exception("command.failed", key=str(command.idempotency_key) if command else None)
        letter = NewDeadLetter(
            raw_body=json.dumps(payload, sort_keys=True).encode(),
            task_name=f"runworker.{command.name}" if command else None,
            task_id=str(command.idempotency_key) if command else None,
            code=Code.INTERNAL_ERROR,
            error=f"{type(error).__name__}: {error}",
        )
        try:
            return self.keep(letter)
        except Unavailable as unkept:
            raise _NotKept(str(unkept)) from unkept


def _log_verdict(verdict: Verdict) -> None:
    if not (verdict.code or _LOGGED.isEnabledFor(logging.DEBUG)):
        return  # the common case, and looked at once a command
    log = _log.info if verdict.code else _log.debug
    log(
        f"command.{verdict.status.lower()}",
        command=verdict.command,
        key=str(verdict.idempotency_key),
        run=str(verdict.run_id) if verdict.run_id else None,
        code=verdict.code,
        replayed=verdict.replayed,
        message=verdict.message,
    )


def _log_split(error: Exception, **parts: int) -> None:
    _log.info("batch.split", error=type(error).__name__, sqlstate=sqlstate(error), reason=reason(error), **parts)


def _log_blocked(error: Exception, key: UUID) -> None:
    _log.warning(
        "command.blocked", key=str(key), error=type(error).__name__, sqlstate=sqlstate(error), reason=reason(error)
    )
