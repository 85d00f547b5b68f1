"""A trial: sends all messages, kills a worker midway and waits for the end."""

import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine

from runworker.commands import Command
from runworker.config import Settings
from runworker.demo.delivery import Lane
from runworker.demo.ending import Ending
from runworker.demo.progress import Progress
from runworker.demo.watch import Watch
from runworker.embedded.process import end_of
from runworker.errors import ServerError, Unavailable
from runworker.workers import WorkerProcesses
from runworker.workers.processes import SOLO


@dataclass(frozen=True)
class Surroundings:
    """What the demo is performed on and with.

    settings: with both URLs, the database migrated. database: the same as its owner. log: takes what workers write.
    began: reading of time.monotonic() from which on the report's seconds count.
    """

    settings: Settings
    database: Engine
    log: Path
    progress: Progress
    ending: Ending
    began: float


@dataclass(frozen=True, slots=True)
class Course:
    """How a trial went: over which queue, how often each command was sent, and what Trial says of it."""

    queue: str
    copies: Mapping[UUID, int]
    kills: int
    gave_up: str | None


def put_on_trial(messages: Sequence[Command], workers: int, series: UUID, on: Surroundings) -> Course:
    """Send the messages on a lane of their own and wait for the end. Call it from the main thread.

    Raises ServerError where a worker does not start or ends by itself, with the end of the log, and Unavailable where
    the broker goes away.
    """
    try:
        with Lane(on.settings, series) as lane:
            trial = Trial(lane, messages, on)
            trial.run(workers)
    except ServerError as error:
        raise ServerError(str(error) + (end_of(on.log) if on.log.exists() else "")) from error
    except (OperationalError, RedisError) as error:
        raise Unavailable(f"The broker does not do its part any more: {error}") from error
    return Course(lane.queue, Counter(trial.sent), trial.kills, trial.gave_up)


class Trial:
    """One performance: messages on their way, and workers of which one is killed.

    sent: the key of every message that the broker has taken. kills: workers that died of SIGKILL. gave_up: why the
    end was not waited for, if so.
    """

    def __init__(self, lane: Lane, messages: Sequence[Command], on: Surroundings) -> None:
        self.sent: list[UUID] = []
        self.kills = 0
        self.gave_up: str | None = None
        self._lane = lane
        self._messages = messages
        self._on = on
        self._watch = Watch(on.database, lane, Counter(message.idempotency_key for message in messages))

    def run(self, workers: int) -> None:
        """Send everything and wait until all of it is decided and counted. Workers have ended when it returns."""
        settings = self._lane.settings
        with WorkerProcesses(
            settings, name=f"{self._lane.queue}-", log=self._on.log, options=(*SOLO, *self._lane.worker_options)
        ) as running:
            running.start(workers)
            self._on.progress.say(
                f"{self._watch.commands} commands in {self._watch.messages} messages, shuffled, to {workers} workers"
            )
            self._send(running)
            while not self._watch.is_over:
                self._look(running)
                if ended := running.wait(self._watch.seconds_to_next_look):
                    raise ServerError(f"the worker {ended.name} ended by itself, with exit code {ended.exit_code}.")
        undecided = self._watch.commands - self._watch.decided
        if undecided or self._watch.left:
            self.gave_up = (
                f"nothing new came any more, and {undecided} commands are not decided and {self._watch.left} messages "
                "not acknowledged"
            )

    def _send(self, running: WorkerProcesses) -> None:
        with self._lane.client() as client:
            for message in self._messages:
                client.post(message)
                self.sent.append(message.idempotency_key)
                self._look(running)
        self._watch.begin_to_wait()

    def _look(self, running: WorkerProcesses) -> None:
        self._on.ending.check()
        self._watch.look()
        self._on.progress.show("messages sent", len(self.sent), len(self._messages))
        self._on.progress.show("commands decided", self._watch.decided, self._watch.commands)
        self._on.progress.show("messages counted", self._watch.counted, self._watch.messages)
        if not self.kills and self._watch.decided * 2 >= self._watch.commands:
            self._kill_one(running)

    def _kill_one(self, running: WorkerProcesses) -> None:
        """Kill a worker in the middle of its work and start another in its place."""
        killed = running.kill_one()
        if killed.exit_code != -signal.SIGKILL:
            raise ServerError(f"the worker {killed.name} ended by itself, with exit code {killed.exit_code}.")
        self.kills += 1
        self._on.progress.say(
            f"killed worker {killed.name} (pid {killed.pid}) with SIGKILL when {self._watch.decided} of "
            f"{self._watch.commands} commands were decided and {self._lane.left()} messages on their way; "
            "another takes its place"
        )
        running.start()
        self._watch.begin_to_wait()
