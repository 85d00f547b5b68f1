"""Sends a delivery plan to workers, kills one of them midway, and waits until every command is decided and counted."""

import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine

from runworker.config import Settings
from runworker.embedded.process import end_of
from runworker.errors import ServerError, Unavailable
from runworker.simulation.delivery import DeliveryPlan
from runworker.simulation.own_queue import DemoQueue
from runworker.simulation.progress_poller import ProgressPoller
from runworker.workers import WorkerProcesses
from runworker.workers.processes import SOLO


class Display(Protocol):
    """Shows a person how far something is."""

    def say(self, line: str) -> None:
        """Tell of one thing that happened."""

    def show(self, what: str, done: int, total: int) -> None:
        """Move the bar called `what`."""


@dataclass(frozen=True)
class DemoContext:
    """Servers, and all else that a demo is given from outside.

    settings: with both URLs, the database migrated. database: the same as its owner. log: takes what workers write.
    check: called in every loop, so that it may raise what ends the demo. began: reading of time.monotonic() from which
    on the report's seconds count.
    """

    settings: Settings
    database: Engine
    log: Path
    display: Display
    check: Callable[[], None]
    began: float


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """A plan as it was delivered: the queue, and how often the broker took each command.

    kills: workers that died of SIGKILL. gave_up: why the end was not waited for, if so.
    """

    queue: str
    copies: Mapping[UUID, int]
    kills: int
    gave_up: str | None


def deliver(plan: DeliveryPlan, workers: int, series: UUID, on: DemoContext) -> DeliveryResult:
    """Send all messages over a queue of their own and wait for the end. Call it from the main thread.

    Raises ServerError where a worker does not start or ends by itself, with the end of the log, and Unavailable where
    the broker goes away.
    """
    try:
        with DemoQueue(on.settings, series) as queue:
            return Execution(queue, plan, on).run(workers)
    except ServerError as error:
        raise ServerError(str(error) + (end_of(on.log) if on.log.exists() else "")) from error
    except (OperationalError, RedisError) as error:
        raise Unavailable(f"The broker does not do its part any more: {error}") from error


class Execution:
    """One delivery: messages on their way, and workers of which one is killed."""

    def __init__(self, queue: DemoQueue, plan: DeliveryPlan, on: DemoContext) -> None:
        self._queue = queue
        self._plan = plan
        self._on = on
        self._sent: list[UUID] = []
        self._kills = 0
        self._progress = ProgressPoller(on.database, queue, plan.copies)

    def run(self, workers: int) -> DeliveryResult:
        """Send everything and wait until all of it is decided and counted. Workers have ended when it returns."""
        queue, progress = self._queue, self._progress
        options = (*SOLO, *queue.worker_options)
        with WorkerProcesses(queue.settings, name=f"{queue.name}-", log=self._on.log, options=options) as running:
            running.start(workers)
            self._on.display.say(
                f"{progress.commands} commands in {progress.messages} messages, shuffled, to {workers} workers"
            )
            self._send(running)
            while not progress.is_over:
                self._look(running)
                if ended := running.wait(progress.seconds_to_next_look):
                    raise ServerError(f"the worker {ended.name} ended by itself, with exit code {ended.exit_code}.")
        return DeliveryResult(queue.name, Counter(self._sent), self._kills, progress.unfinished)

    def _send(self, running: WorkerProcesses) -> None:
        with self._queue.client() as client:
            for message in self._plan.messages:
                client.post(message)
                self._sent.append(message.idempotency_key)
                self._look(running)
        self._progress.begin_to_wait()

    def _look(self, running: WorkerProcesses) -> None:
        self._on.check()
        progress, show = self._progress, self._on.display.show
        progress.look()
        show("messages sent", len(self._sent), progress.messages)
        show("commands decided", progress.decided, progress.commands)
        show("messages counted", progress.counted, progress.messages)
        self._disturb(running)

    def _disturb(self, running: WorkerProcesses) -> None:
        """Kill a worker in the middle of its work, once half is decided, and start another in its place."""
        if self._kills or self._progress.decided * 2 < self._progress.commands:
            return
        killed = running.kill_one()
        if killed.exit_code != -signal.SIGKILL:
            raise ServerError(f"the worker {killed.name} ended by itself, with exit code {killed.exit_code}.")
        self._kills += 1
        self._on.display.say(
            f"killed worker {killed.name} (pid {killed.pid}) with SIGKILL when {self._progress.decided} of "
            f"{self._progress.commands} commands were decided and {self._queue.left()} messages on their way; "
            "another takes its place"
        )
        running.start()
        self._progress.begin_to_wait()
