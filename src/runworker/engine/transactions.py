"""One batch, one transaction: done again while the server fails. Verdicts are logged, late ones told."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from sqlalchemy import Connection

from runworker.config import Settings
from runworker.engine.batch import BatchRequest, BatchResult, Resources
from runworker.engine.process import process
from runworker.engine.retrying import Result, retried
from runworker.engine.sql.connection import connect
from runworker.engine.sql.dead_letters import NewDeadLetter, store
from runworker.engine.sql.versions import Plans
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)
_LOGGED: Final = logging.getLogger(__name__)
"""Tells whether a level is logged, a hundred times faster than structlog's logger does."""

_HASTY: Final = "SET LOCAL lock_timeout = 250"
"""Milliseconds for what must not keep others waiting: a dead letter, and each part of a batch that has been waiting
for a lock, until it is known whose lock that is."""

LateVerdicts = Callable[[Mapping[str, Verdict]], None]


class Transactions:
    """The transactions of one process. Each method raises Unavailable once the server has failed for `retry_seconds`.

    tell_late: given verdicts by task id of commands that had been answered WAITING, after their commit.
    """

    def __init__(self, settings: Settings, tell_late: LateVerdicts) -> None:
        self.database = connect(settings, plan_once=True)
        self._resources = Resources(settings, counter_pool=connect(settings), plans=Plans())
        self._seconds = settings.retry_seconds
        self._tell_late = tell_late

    def close(self) -> None:
        """Close all connections."""
        self.database.dispose()
        self._resources.counter_pool.dispose()

    def process(self, request: BatchRequest, *, hasty: bool = False) -> BatchResult:
        """Process a batch and commit. hasty: wait for locks for a moment only. What failed has written nothing."""
        result = retried(lambda: self._attempt(request, hasty=hasty), self._seconds)
        for verdict in result.verdicts:
            _log_verdict(verdict)
        self.tell_late(result.late)
        return result

    def tell_late(self, verdicts: Mapping[str, Verdict]) -> None:
        """Tell senders, by task id, what was decided and committed after they had been answered."""
        for verdict in verdicts.values():
            _log_verdict(verdict)
        if verdicts:
            try:
                self._tell_late(verdicts)
            except Exception:
                # Committed is committed. A sender that is not told now asks for the stored verdict.
                _log.exception("verdict.untold", task_ids=list(verdicts))

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` gives, in a transaction of its own."""

        def attempt() -> Result:
            with self.database.begin() as connection:
                return work(connection)

        return retried(attempt, self._seconds)

    def keep(self, letter: NewDeadLetter) -> int:
        """Store a dead letter. Returns its id. Waits for a lock on its row for a moment only."""

        def attempt() -> int:
            with self.database.begin() as connection:
                connection.exec_driver_sql(_HASTY)
                return store(connection, letter)

        return retried(attempt, self._seconds)

    def _attempt(self, request: BatchRequest, *, hasty: bool) -> BatchResult:
        with self.database.begin() as connection:
            if hasty:
                connection.exec_driver_sql(_HASTY)
            return process(connection, self._resources, request)


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
