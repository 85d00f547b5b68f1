"""The intake: a worker takes messages only while its servers are as it needs them.

A thread of the worker's main process looks at PostgreSQL and the broker, again and again. While it finds a blocker the
intake is closed: the worker fetches nothing, and what it had fetched goes back. It closes at once when PostgreSQL fails
under a batch, and opens by itself when a look finds nothing wrong any more. Before the first look it is closed.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import inspect_command
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from runworker.engine.sql.connection import connect
from runworker.readiness import UNREACHABLE, Blocker, clock_behind, look_at, look_at_broker

_log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 2.0
"""Pause between two looks while the intake is open, and the longest while it is closed."""

_FIRST_PAUSE_SECONDS: Final = 0.1
"""Pause after the first look that found a blocker. It doubles from look to look."""

_TOLD_EVERY_SECONDS: Final = 60.0
"""How often the log repeats that the intake is closed for the same reasons."""

_FIRST_LOOK_SECONDS: Final = 1.0
"""How long a consumer that starts waits for the first look, so that it need not be told to look again."""

_NOT_LOOKED_YET: Final = Blocker("not-looked-yet", "The worker has just been started.", "Nothing is to be done.")


class Intake:
    """Whether a worker takes messages, and what keeps it from that.

    look: what is wrong with PostgreSQL, and with the broker. on_close: called when the intake closes, in any thread.
    """

    def __init__(self, look: Callable[[], tuple[Sequence[Blocker], Sequence[Blocker]]]) -> None:
        self.on_close: Callable[[], object] = lambda: None
        self.is_open = False
        self.is_database_ready = False
        self.blockers: Sequence[Blocker] = [_NOT_LOOKED_YET]
        self.looked = threading.Event()
        self._look = look
        self._lock = threading.Lock()
        self._failure: Blocker | None = None
        self._closed_looks = 0
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._told: list[str] = []
        self._tell_again = 0.0

    def fail(self, reason: str) -> None:
        """Close: PostgreSQL or the result store failed under work that may be fine. A look follows at once."""
        with self._lock:
            self._failure = Blocker(
                "work-fails", f"{reason}.", "Workers try again; see PostgreSQL's log, and Redis' for results."
            )
            if self.is_open:  # else what a look found says more
                self._close([self._failure])
        self._woken.set()

    def succeed(self) -> None:
        """Work was done: the next failure is the first of its kind."""
        if self.is_open:
            self._closed_looks = 0

    def watch(self) -> None:
        """Look, and open or close, until `stop`."""
        while not self._stopping.is_set():
            self._look_once()
            self.looked.set()
            self._woken.wait(self._pause())
            self._woken.clear()

    def stop(self) -> None:
        """Have `watch` end."""
        self._stopping.set()
        self._woken.set()

    def _look_once(self) -> None:
        with self._lock:
            failure, self._failure = self._failure, None
        database, broker = self._look()
        self.is_database_ready = not database
        found = [*database, *broker] or ([failure] if failure else [])
        with self._lock:
            if found:
                self._closed_looks += 1
                self._close(found)
            elif self._failure is None:  # else work failed during the look, which may have come too early to see why
                self._open()
        if found:
            self._tell(found)

    def _pause(self) -> float:
        if self.is_open:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(self._closed_looks, 10))

    def _open(self) -> None:
        if not self.is_open:
            self.blockers = []
            self.is_open = True
            if self._told:
                self._told = []
                _log.warning("intake.opened")

    def _close(self, blockers: Sequence[Blocker]) -> None:
        was_open, self.is_open = self.is_open, False
        self.blockers = blockers
        if was_open:
            self.on_close()

    def _tell(self, blockers: Sequence[Blocker]) -> None:
        names, now = [blocker.name for blocker in blockers], time.monotonic()
        if names != self._told or now >= self._tell_again:
            self._told, self._tell_again = names, now + _TOLD_EVERY_SECONDS
            _log.warning("intake.closed", blockers=names, reason=" ".join(map(str, blockers)))


class Servers:
    """The servers of a worker as its intake looks at them: with connections of its own, kept from look to look.

    clock_behind: by how much this machine's clock is behind PostgreSQL's, which times go by.
    """

    def __init__(self, app: Any) -> None:
        self.clock_behind = timedelta()
        self._app = app
        self._database: Any = None
        self._broker: Any = None

    def look(self) -> tuple[list[Blocker], list[Blocker]]:
        """What is wrong with PostgreSQL, and with the broker."""
        if self._database is None:
            self._database = connect(self._app.settings)
        blockers = look_at(self._database)
        if not blockers and (behind := clock_behind(self._database)) is not None:
            self.clock_behind = behind
        # A consumer whose broker is away or refuses takes nothing by itself, and connects again by itself.
        return blockers, [found for found in self._look_at_broker() if found.name not in UNREACHABLE]

    def _look_at_broker(self) -> list[Blocker]:
        try:
            if self._broker is None:
                self._broker = self._app.connection_for_write().channel()
            return look_at_broker(self._broker.client)
        except (BrokerError, RedisError, OSError):
            broker, self._broker = self._broker, None
            if broker is not None:
                with suppress(BrokerError, RedisError, OSError):
                    broker.connection.client.release()
            return []


class Watch(bootsteps.StartStopStep):
    """Starts and stops the intake's thread with the worker, after the pool has forked."""

    requires = frozenset({"celery.worker.components:Pool"})

    def __init__(self, worker: Any, **_options: Any) -> None:
        self._thread: threading.Thread | None = None

    def start(self, worker: Any) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=worker.app.intake.watch, name="runworker-intake", daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        """End. A look that is under way is not waited for."""
        worker.app.intake.stop()

    terminate = stop


class TakeWhileOpen(bootsteps.StartStopStep):
    """Has the consumer's channel ask the intake before it fetches: ours and kombu's own, after each new connection.

    Queues stay as they are, so that an operator may add and cancel some meanwhile.
    """

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Put the intake before the channel's own limit."""
        intake = consumer.app.intake
        channel = consumer.task_consumer.channel
        has_room = channel.qos.can_consume

        def can_consume() -> bool:
            # The answer to a fetch that is under way is read: kombu's own has taken a message off its list already.
            under_way = getattr(channel, "_pending_fetch", channel._in_poll)
            return (intake.is_open or bool(under_way)) and has_room()

        channel.qos.can_consume = can_consume
        intake.looked.wait(_FIRST_LOOK_SECONDS)


@inspect_command()
def readiness(state: Any, **_: Any) -> dict[str, Any]:
    """Tell whether the worker takes messages, of which queues, and what keeps it from that."""
    intake = state.app.intake
    return {
        "ready": intake.is_open,
        "blockers": [{"name": blocker.name, "reason": str(blocker)} for blocker in intake.blockers],
        "queues": sorted(state.consumer.queue_names),
    }
