"""The worker's consumer: a message that cannot be read is kept, then acknowledged.

Stock Celery logs such a message and drops it, or ends over it. Here it goes to dead_letters with its raw body; while
PostgreSQL is away it goes back to its queue.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog
from celery.worker.consumer import Consumer as StockConsumer
from kombu.message import Message

from runworker.codes import Code
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.errors import InvalidMessage
from runworker.tasks.admission import name_and_id, raw_body, require_task_message
from runworker.tasks.batches import Batches, noting_what_begins
from runworker.tasks.letters import Letters
from runworker.tasks.quarantine import Quarantine

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS: Final = 2.0
"""Pause before a worker connects again to a broker that is away, or takes connections and refuses commands, as a
replica does or a server that cannot save. Celery itself would try five times a second, or each half minute."""


class Consumer(StockConsumer):
    """Celery's consumer, but no unreadable message is lost, and none ends the worker.

    batches: what `tasks.strategy` puts requests into; None where batches have one command each.
    """

    restart_count = 0
    """Celery begins at -1, and then ends a worker of which a pool process died before the broker could be reached. That
    process is replaced, as at any other time."""

    def __init__(self, on_task_request: Callable[[Any], None], **options: Any) -> None:
        app, pool = options["app"], options["pool"]
        size = app.settings.batch_size
        self.letters = Letters(self)
        self.quarantine = app.quarantine = Quarantine(app, self.letters)
        if not pool.uses_semaphore and pool.num_processes == 1:
            on_task_request = noting_what_begins(on_task_request)
        self.batches = Batches(self, app.intake, size) if size > 1 else None
        if not pool.uses_semaphore:  # Celery counts cores here, and a solo worker uses one
            options["initial_prefetch_count"] = pool.num_processes * options["prefetch_multiplier"]
        super().__init__(on_task_request, **options)
        self._failed_at = -math.inf
        app.intake.on_close = self._give_back_soon

    @property
    def queue_names(self) -> set[str]:
        """The queues that it consumes now, also such as an operator has added. May be asked in any thread."""
        consumer = self.task_consumer  # None while there is no connection
        return {queue.name for queue in consumer.queues} if consumer else set()

    def _give_back_soon(self) -> None:
        if self.batches is not None:
            self.call_soon(self.batches.give_back)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however often it takes. Celery itself would pause longer each time, half a minute in the end."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=_PAUSE_SECONDS, interval_max=_PAUSE_SECONDS
        )
        return super().ensure_connected(conn)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Pause where this is not the first error in a row."""
        super().on_connection_error_before_connected(exc)
        self._pause(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of the connection, and pause where the broker refused or this is not the first error in a row."""
        super().on_connection_error_after_connected(exc)
        self._pause(exc)

    def _pause(self, error: Exception) -> None:
        refused = isinstance(error, self.channel_errors) and not isinstance(error, self.connection_errors)
        if refused:
            _log.warning("broker.refuses", error=str(error), pause_seconds=_PAUSE_SECONDS)
        if refused or time.monotonic() - self._failed_at < 2 * _PAUSE_SECONDS:
            time.sleep(_PAUSE_SECONDS)
        self._failed_at = time.monotonic()

    def on_close(self) -> None:
        """Forget requests that no pool process has begun: the connection is lost, and they are delivered again."""
        if self.pool.uses_semaphore:  # of processes
            pool = self.pool._pool
            _stand_by_what_is_written(pool)
            # None before an event loop has the pool: then a dead process keeps its queues, and a new one finds none.
            pool.on_process_down = pool.on_process_down or (lambda _process: None)
        if self.batches is not None:
            self.batches.forget()
        super().on_close()

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Message], None]:
        """Celery's own handler, behind a check of each message."""
        handle = super().create_task_handler(*args, **options)

        def handle_if_readable(message: Message) -> None:
            try:
                require_task_message(message)
            except Exception as error:  # kombu's decoders raise whatever a body makes them raise
                self.on_decode_error(message, error)
                return
            if self.quarantine.is_due(message):
                self.quarantine.take(message)
                return
            try:
                handle(message)
            except Exception as error:
                if self._says_broker_is_away(error):
                    raise
                _log.exception("message.failed", task_id=name_and_id(message)[1])
                if not message.acknowledged:
                    self._keep(message, Code.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

        return handle_if_readable

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Keep a message whose envelope or body cannot be read, or that is no task message."""
        error = exc.message if isinstance(exc, InvalidMessage) else f"{type(exc).__name__}: {exc}"
        self._keep(message, Code.MALFORMED_MESSAGE, error)

    def on_invalid_task(self, body: object, message: Message, exc: Exception) -> None:
        """Keep a task message with a part that only Celery itself can tell to be wrong, such as a time that is none."""
        self.on_decode_error(message, exc)

    def on_unknown_task(self, body: object, message: Message, exc: Exception) -> None:
        """Keep a message whose task name is no command."""
        self._keep(message, Code.UNKNOWN_COMMAND, f"no command is called {name_and_id(message)[0]!r}")

    def _says_broker_is_away(self, error: Exception) -> bool:
        # kombu counts every KeyError among a connection's errors. One that a message causes would come back with it.
        return isinstance(error, self.connection_errors) and not isinstance(error, KeyError)

    def _keep(self, message: Message, code: Code, reason: str) -> None:
        task_name, task_id = name_and_id(message)
        letter = NewDeadLetter(
            raw_body=raw_body(message),
            code=code,
            error=reason,
            task_name=task_name,
            task_id=task_id,
            headers=message.headers,
        )
        self.letters.take(message, code, lambda: self.letters.keep(letter))


def _stand_by_what_is_written(pool: Any) -> None:
    """Have the pool of processes write what it has begun to write, and wait for what it has written.

    Celery forgets tasks of which it has not read yet that they are begun. At a shutdown it leaves them half written,
    and the process waits for the rest for ever; written, they are done, and the process waits to be heard: half a
    minute, or for ever with a result that is longer than a pipe.
    """
    for job in tuple(pool._cache.values()):
        if job._write_to is not None and job not in pool.outbound_buffer:  # it is there when its process died with it
            job._accepted, job._worker_pid = True, job._write_to.pid
            if (writer := job._writer()) in pool._active_writers:
                pool._flush_writer(job._write_to, writer)
