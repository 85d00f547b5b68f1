"""The upkeep thread, beside the pool.

A thread of the worker's main process takes in commands that upstreams put into the ledger, expires commands that waited
too long, archives old runs, forgets old commands, seals the audit trail and moves unreadable items to dead_letters. It
needs PostgreSQL only: with Redis gone, commands in the ledger are still applied. Nothing expires then, for what it
waits for may lie there.
"""

import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from celery import bootsteps
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from runworker.engine.constraints import is_passing
from runworker.errors import Unavailable
from runworker.upkeep import sweep
from runworker.upkeep.archive import archive_finished_runs
from runworker.upkeep.dead_letters import collect_unreadable
from runworker.upkeep.prune import CHUNK, prune_commands
from runworker.upkeep.queue_watch import QueueWatch
from runworker.upkeep.seal import seal

_log = structlog.get_logger(__name__)

_SWITCH_SECONDS: Final = 0.0005
"""Python lets one thread go on for so long while another waits. A batch waits for PostgreSQL a dozen times; by Python's
own five milliseconds, upkeep at work meanwhile would take that long from it each time."""

_AWAY = (Unavailable, RedisError, BrokerError, OSError)
"""Errors that tell that PostgreSQL or the broker cannot be reached."""

_LOOK_AGAIN_SECONDS: Final = 0.1
"""Pause between two looks at a intake that is closed over PostgreSQL."""

PRUNE_CHUNKS: Final = 10
"""Most chunks of the ledger that one round forgets."""

PRUNE_PAUSE_SECONDS: Final = 60.0
"""Pause between two looks for old commands, once none was left. Those of runs never finished are passed over."""


class UpkeepThread(bootsteps.StartStopStep):
    """Starts and stops the thread with the worker, after the pool has forked."""

    requires = frozenset({"celery.worker.components:Pool"})

    def __init__(self, worker: Any, **_options: Any) -> None:
        self._app = worker.app
        self._worker = worker
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._prune_again = time.monotonic()
        comes_back = timedelta(seconds=worker.app.settings.visibility_timeout_seconds)
        self._queue_watch = QueueWatch(self._queues, comes_back)

    def start(self, worker: Any) -> None:
        """Begin."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread = threading.Thread(target=self._run, name="runworker-upkeep", daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        """Finish the round that is under way, if it does not take long."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=self._app.settings.retry_seconds)

    terminate = stop

    def _run(self) -> None:
        while True:
            if not self._app.intake.is_database_ready:
                if self._stopping.wait(_LOOK_AGAIN_SECONDS):
                    return
                continue
            for duty in (self._sweep, self._archive, self._prune, self._seal, self._collect_unreadable):
                if not self._app.intake.is_database_ready:
                    break
                try:
                    duty()
                except Exception as error:
                    if is_passing(error) or isinstance(error, _AWAY):
                        _log.warning("upkeep.postponed", duty=duty.__name__, error=str(error))
                    else:
                        _log.exception("upkeep.failed", duty=duty.__name__)
            if self._stopping.wait(self._app.settings.sweep_seconds):
                return

    def _sweep(self) -> None:
        sweep(self._app.engine, self._seen_until, self._stopping.is_set)

    def _seen_until(self) -> datetime:
        with self._app.connection_for_read() as broker:
            return self._queue_watch.seen_until(self._app.engine, broker)

    def _archive(self) -> None:
        retention = timedelta(days=self._app.settings.archive_after_days)
        archive_finished_runs(self._app.engine.database, retention)

    def _prune(self) -> None:
        """Forget some chunks, and go on next round where more is left; else look again some time later."""
        # Until a run may be archived, its commands stay anyway: they need not be looked at.
        days = max(self._app.settings.ledger_keep_days, self._app.settings.archive_after_days)
        chunks = 0
        while chunks < PRUNE_CHUNKS and time.monotonic() >= self._prune_again and not self._stopping.is_set():
            chunks += 1
            if prune_commands(self._app.engine.database, timedelta(days=days)) < CHUNK:
                self._prune_again = time.monotonic() + PRUNE_PAUSE_SECONDS

    def _seal(self) -> None:
        seal(self._app.engine.database)

    def _collect_unreadable(self) -> None:
        with self._app.connection_for_read() as broker:
            for queue in self._queues():
                collect_unreadable(self._app.engine, broker, queue)

    def _queues(self) -> set[str]:
        """The queues that the worker consumes now, and that of its settings, which other workers may consume."""
        return {self._app.settings.queue, *self._worker.consumer.queue_names}
