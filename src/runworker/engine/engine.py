"""The engine's door: `Engine.apply` for commands that come, `Engine.judge_again` for those that the ledger has.

Around the transaction of a batch it does three things: errors that pass are retried with backoff and jitter, a batch
that the database refuses is split until the bad command stands alone, and verdicts that were decided late are told.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Select, select
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)
from tenacity.retry import retry_base

from runworker.codes import Code
from runworker.commands import Command
from runworker.config import Settings
from runworker.engine.batch import BatchRequest, BatchResult, Resources
from runworker.engine.constraints import as_rejection, is_passing
from runworker.engine.process import process
from runworker.engine.sql import ledger
from runworker.engine.sql.arrays import Uuids
from runworker.engine.sql.connection import connect
from runworker.engine.sql.dead_letters import NewDeadLetter, store
from runworker.engine.sql.versions import Plans
from runworker.errors import Rejected, Unavailable
from runworker.models import CommandRecord
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)
_LOGGED: Final = logging.getLogger(__name__)
"""Tells whether a level is logged, a hundred times faster than structlog's logger does."""

_LONGEST_PAUSE: Final = 2.0
"""Most seconds between two attempts."""

_IF_PASSING: Final = retry_if_exception(is_passing)

Result = TypeVar("Result")

LateVerdicts = Callable[[Mapping[str, Verdict]], None]


def _tell_nobody(_verdicts: Mapping[str, Verdict]) -> None:
    return


class Engine:
    """Applies commands to one database. Safe to share between threads; not between processes.

    tell_late: given verdicts by task id of commands that had been answered WAITING, after their commit.
    """

    def __init__(self, settings: Settings, tell_late: LateVerdicts = _tell_nobody) -> None:
        self._settings = settings
        self.database = connect(settings, plan_once=True)
        self._resources = Resources(settings, counter_pool=connect(settings), plans=Plans())
        self._tell_late = tell_late

    def close(self) -> None:
        """Close all connections."""
        self.database.dispose()
        self._resources.counter_pool.dispose()

    def apply(self, commands: Sequence[Command], task_ids: Mapping[UUID, str] | None = None) -> list[Verdict]:
        """Apply commands, in order where order matters, and return a verdict for each.

        task_ids: Celery task ids by idempotency key, kept so that a late verdict finds its result.
        Raises Unavailable when PostgreSQL stays away for `retry_seconds`; the transaction that failed wrote nothing.
        """
        return self._apply(list(commands), task_ids or {})

    def judge_again(self, keys: Sequence[UUID], *, expire: bool = False) -> None:
        """Judge stored commands once more; with `expire`, those whose time is up become EXPIRED."""
        try:
            self._transact(BatchRequest(stored=keys, expire=expire))
        except Unavailable:
            raise
        except Exception as error:
            _log.info("batch.split", stored=len(keys), error=type(error).__name__)
            self._judge_each(keys, expire=expire)

    def judge_found(self, found: Select[UUID], most: int) -> int:
        """Judge stored commands once more, in one transaction: the first `most` that a statement finds.

        found: selects keys of ledger rows. Those whose time is up become EXPIRED. Returns how many were judged.
        Raises Unavailable as `apply` does.
        """
        if keys := self._keys(found.limit(most)):
            self.judge_again(keys, expire=True)
        return len(keys)

    def keep(self, letter: NewDeadLetter) -> int:
        """Put an unreadable message into dead_letters. Returns its id.

        Raises Unavailable, after `retry_seconds`, whatever the reason. The caller puts the message back: it would be
        lost with a letter that is not kept.
        """
        return self._retried(lambda: store(self.database, letter), retry_if_exception_type(Exception))

    def verdicts(self, keys: Sequence[UUID]) -> dict[UUID, Verdict]:
        """Stored verdicts by key; keys that are unknown or not judged yet are absent."""
        stored = select(CommandRecord.idempotency_key, CommandRecord.verdict).where(
            CommandRecord.idempotency_key.in_(keys), CommandRecord.verdict.is_not(None)
        )

        def read() -> dict[UUID, Verdict]:
            with self.database.begin() as connection:
                return {key: Verdict.from_dict(verdict) for key, verdict in connection.execute(stored) if verdict}

        return self._retried(read)

    def _apply(self, commands: list[Command], task_ids: Mapping[UUID, str]) -> list[Verdict]:
        try:
            return self._transact(BatchRequest(commands, task_ids)).verdicts
        except Unavailable:
            raise
        except Exception as error:
            if len(commands) > 1:
                _log.info("batch.split", commands=len(commands), error=type(error).__name__)
                middle = len(commands) // 2
                return self._apply(commands[:middle], task_ids) + self._apply(commands[middle:], task_ids)
            return [self._apply_alone(commands[0], task_ids)]

    def _apply_alone(self, command: Command, task_ids: Mapping[UUID, str]) -> Verdict:
        """Apply a command whose batch failed, first without those that wait for it: one of them may be the bad one."""
        try:
            result = self._transact(BatchRequest([command], task_ids, wake=False))
        except Unavailable:
            raise
        except Exception as error:
            rejection = as_rejection(error)
            if rejection is None:
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
            refused = {command.idempotency_key: rejection}
            result = self._transact(BatchRequest([command], task_ids, refused=refused, wake=False))
        self._judge_each(self._waiting_for(result.changed_ids))
        return result.verdicts[0]

    def _judge_each(self, keys: Iterable[UUID], *, expire: bool = False) -> None:
        """Judge stored commands, and then those that waited for them, each in a transaction of its own."""
        queue = deque(keys)
        while queue:
            queue.extend(self._waiting_for(self._judge_alone(queue.popleft(), expire=expire).changed_ids))

    def _judge_alone(self, key: UUID, *, expire: bool) -> BatchResult:
        try:
            return self._transact(BatchRequest(stored=[key], expire=expire, wake=False))
        except Unavailable:
            raise
        except Exception as error:
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

    def _transact(self, request: BatchRequest) -> BatchResult:
        result = self._retried(lambda: self._attempt(request))
        for verdict in (*result.verdicts, *result.late.values()):
            _log_verdict(verdict)
        if result.late:
            try:
                self._tell_late(result.late)
            except Exception:
                # Committed is committed. A sender that is not told now asks for the stored verdict.
                _log.exception("verdict.untold", task_ids=list(result.late))
        return result

    def _retried(self, work: Callable[[], Result], retry: retry_base = _IF_PASSING) -> Result:
        attempts = Retrying(
            retry=retry,
            wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_PAUSE),
            stop=stop_after_delay(self._settings.retry_seconds),
            before_sleep=_log_retry,
        )
        try:
            return attempts(work)
        except RetryError as error:
            cause = error.last_attempt.exception()
            raise Unavailable(f"PostgreSQL did not do the work in {self._settings.retry_seconds} s: {cause}") from cause

    def _attempt(self, request: BatchRequest) -> BatchResult:
        with self.database.begin() as connection:
            return process(connection, self._resources, request)

    def _keep_failed(self, error: Exception, payload: object, command: Command | None = None) -> int:
        _log.exception("command.failed", key=str(command.idempotency_key) if command else None)
        return self.keep(
            NewDeadLetter(
                raw_body=json.dumps(payload, sort_keys=True).encode(),
                task_name=f"runworker.{command.name}" if command else None,
                task_id=str(command.idempotency_key) if command else None,
                code=Code.INTERNAL_ERROR,
                error=f"{type(error).__name__}: {error}",
            ),
        )


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


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("database.retry", attempt=state.attempt_number, error=type(error).__name__)
