"""The demo itself: sends all messages, kills a worker midway, waits for the end and proves what became of it."""

import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from runworker.commands import Command
from runworker.config import Settings
from runworker.demo.delivery import Lane, deliveries
from runworker.demo.ending import Ending
from runworker.demo.evidence import read_evidence
from runworker.demo.progress import Progress
from runworker.demo.proof import Claim, prove
from runworker.demo.report import Report, report
from runworker.demo.scenario import Cast, commands_of, write_lives
from runworker.demo.watch import Watch
from runworker.embedded.process import end_of
from runworker.errors import ServerError, Unavailable
from runworker.imports import add_user, canonical_flow, import_flow, named
from runworker.plan import read_plan
from runworker.states import UserRole
from runworker.workers import WorkerProcesses
from runworker.workers.processes import SOLO


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of the demo. seed: the same one gives the same lives in the same order of delivery."""

    runs: int
    workers: int
    seed: int


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


def perform(order: Order, on: Surroundings) -> Report:
    """Perform the demo and prove what became of it. Call it from the main thread.

    Raises ServerError where a worker does not start or ends by itself, with the end of the log, and Unavailable where
    the broker goes away.
    """
    random, series = Random(order.seed), uuid4()  # noqa: S311 - a plan to repeat, not a secret
    cast = enter(on.database, series)
    lives = write_lives(random, order.runs, cast)
    messages = deliveries(random, commands_of(lives))
    try:
        with Lane(on.settings, series) as lane:
            trial = Trial(lane, messages, on)
            trial.run(order.workers)
    except ServerError as error:
        raise ServerError(str(error) + (end_of(on.log) if on.log.exists() else "")) from error
    except (OperationalError, RedisError) as error:
        raise Unavailable(f"The broker does not do its part any more: {error}") from error
    claim = Claim(lives, cast.plan, cast.flow_version_id, Counter(trial.sent), trial.kills)
    with on.database.connect() as connection:
        evidence = read_evidence(connection, lives, flow_version_id=cast.flow_version_id, queue=lane.queue)
    return report(claim, evidence, prove(claim, evidence), gave_up=trial.gave_up, began=on.began)


def enter(database: Engine, series: UUID) -> Cast:
    """Bring in a user and a published flow of this performance's own, so that nobody else's flow is superseded."""
    email, flow = f"demo-{series}@example.com", named(canonical_flow(), f"Demo {series}")
    with Session(database) as session, session.begin():
        user_id = add_user(session, email, UserRole.MANAGER, "runworker demo")
        imported = import_flow(session, flow, email=email, publish=True)
    return Cast(user_id, imported.flow_version_id, read_plan(flow.graph), series)


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
                client.send_again(message)
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
