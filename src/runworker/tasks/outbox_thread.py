"""The outbox thread, beside the upkeep thread: it takes in what upstreams queue, as soon as they have committed it.

A notification that is lost, with its connection or behind a PgBouncer that shares connections, costs some seconds: the
upkeep thread looks by itself.
"""

import threading
import time
from typing import Any, Final

import structlog
from celery import bootsteps

from runworker.engine.constraints import is_passing
from runworker.errors import Unavailable
from runworker.upkeep.listening import listen
from runworker.upkeep.queued import take_queued

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS: Final = 2.0
"""Pause before the thread listens again, once it could not."""

_LOOK_AGAIN_SECONDS: Final = 0.1
"""Pause between two looks at an intake that is closed over PostgreSQL."""


class OutboxThread(bootsteps.StartStopStep):
    """Starts and stops the thread with the worker, after the pool has forked."""

    requires = frozenset({"celery.worker.components:Pool"})

    def __init__(self, worker: Any, **_options: Any) -> None:
        self._app = worker.app
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def include_if(self, worker: Any) -> bool:
        """Only where a session is the worker's own: a shared one hears nothing."""
        return bool(worker.app.settings.pool_mode == "session")

    def start(self, worker: Any) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="runworker-outbox", daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        """Finish the batch that is under way, if it does not take long."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=self._app.settings.retry_seconds)

    terminate = stop

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._app.intake.is_database_ready:
                self._stopping.wait(_LOOK_AGAIN_SECONDS)
                continue
            try:
                listen(self._app.engine, self._take, self._stopping.is_set)
            except Exception as error:
                if is_passing(error) or isinstance(error, Unavailable):
                    _log.warning("upkeep.postponed", duty="listen", error=str(error))
                else:
                    _log.exception("upkeep.failed", duty="listen")
                self._stopping.wait(_PAUSE_SECONDS)

    def _take(self) -> None:
        if not self._app.intake.is_database_ready:
            raise Unavailable("PostgreSQL is not as a worker needs it; the log says why at intake.closed")
        began = time.monotonic()
        if taken := take_queued(self._app.engine, self._stopping.is_set):
            _log.info("queued.taken", commands=taken, seconds=round(time.monotonic() - began, 4))
