"""Candidates that take messages from Redis: stock Celery and runworker.

All are measured in the same way. Workers are up and idle; the messages lie ready in a list beside the queue, which is
renamed to the queue in one step; the end is when the queue is empty and nothing is unacknowledged any more.
"""

import json
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from sqlalchemy import make_url

from benchmarks.candidates import Candidate
from benchmarks.children import children, module
from benchmarks.messages import MessageWriter
from benchmarks.workload import Work, Workload
from runworker.errors import ServerError
from runworker.simulation.own_queue import OwnQueue
from runworker.workers import WorkerProcesses

ALONE: Final = ("--without-gossip", "--without-mingle")
SOLO: Final = ("--pool", "solo", *ALONE)
PREFORK: Final = ("--pool", "prefork", *ALONE)
GLANCE_SECONDS: Final = 0.005
PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Laid:
    """Messages in a list beside the queue. work: what they are about, None for a no-op's."""

    ids: Sequence[str]
    commands: int
    work: Work | None = None


class QueueCandidate(Candidate):
    """Takes messages of one task from a queue of its own.

    options: Celery's, for each worker. celery: settings that differ from its usual ones.
    """

    task: str

    def __init__(
        self,
        name: str,
        workload: Workload,
        processes: int = 2,
        options: Sequence[str] = SOLO,
        celery: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name, processes)
        plant = workload.plant
        self.workload = workload
        self.own_queue = OwnQueue(plant.settings.model_copy(update={"queue": f"{plant.settings.queue}.{name}"}))
        self.queue = self.own_queue.name
        self.celery = dict(celery or {})
        self.broker = Redis.from_url(plant.broker_url)
        self._options = options
        self._writer = MessageWriter(plant.broker_url, self.queue, self.task)

    @abstractmethod
    def written(self, commands: int) -> tuple[list[tuple[str, dict[str, Any]]], Work | None]:
        """Messages, as task ids and keyword arguments, and the work that they are."""

    def lay(self, commands: int) -> Laid:
        """Put messages into a list beside the queue."""
        messages, work = self.written(commands)
        staged = f"{self.queue}.staged"
        for first in range(0, len(messages), 1000):
            items = [self.message(id_, fields) for id_, fields in messages[first : first + 1000]]
            self.broker.lpush(staged, *items)
        return self.laid([id_ for id_, _ in messages], work)

    def laid(self, ids: Sequence[str], work: Work | None) -> Laid:
        """Messages by their ids; of a no-op each is a command."""
        return Laid(ids, len(work.commands) if work else len(ids), work)

    def message(self, task_id: str, fields: Mapping[str, Any]) -> bytes:
        """One message as it lies in the queue."""
        return self._writer.written(task_id, fields)

    def do(self, laid: Laid) -> float:
        """Rename the list to the queue, and look until nothing is left."""
        began = time.perf_counter()
        self.broker.rename(f"{self.queue}.staged", self.queue)
        return self.emptied() - began

    def emptied(self) -> float:
        """The moment at which nothing was left, twice in a row: a message may be between queue and worker."""
        first_empty, fewest, moved = None, None, time.perf_counter()
        while True:
            left = self.own_queue.left()
            now = time.perf_counter()
            if left == 0:
                if first_empty is not None:
                    return first_empty
                first_empty = now
            else:
                first_empty = None
                if fewest is None or left < fewest:
                    fewest, moved = left, now
                if now - moved > PATIENCE_SECONDS:
                    raise ServerError(f"{self.name}: {left} messages are left, and none is done any more.")
            time.sleep(GLANCE_SECONDS)

    def size(self, laid: Laid) -> int:
        """Commands, not messages."""
        return laid.commands

    def shortcomings(self, laid: Laid) -> list[str]:
        """Ask the database and, where results are kept, look for each. Removes the results."""
        wrong = self.workload.shortcomings(laid.work) if laid.work else []
        keys = [f"celery-task-meta-{id_}" for id_ in laid.ids]
        found = sum(int(self.broker.delete(*keys[first : first + 1000])) for first in range(0, len(keys), 1000))
        if not self.celery.get("task_ignore_result") and found != len(keys):
            wrong.append(f"results: {found} and not {len(keys)}")
        return wrong


class Stock(QueueCandidate):
    """Workers of stock Celery, with kombu's Redis transport and Celery's own defaults."""

    @contextmanager
    def running(self, log: Path) -> Iterator[list[int]]:
        """Start workers that end with the block."""
        plant = self.workload.plant
        settings = {
            "broker_url": plant.broker_url,
            "result_backend": plant.broker_url,
            "task_default_queue": self.queue,
            "worker_send_task_events": True,
            "broker_transport_options": self.own_queue.unacked,
            "broker_connection_retry_on_startup": True,
            **self.celery,
        }
        worker = make_url(plant.settings.database_url.get_secret_value())
        environment = {
            "BENCH_CELERY": json.dumps(settings),
            "BENCH_DATABASE_URL": worker.render_as_string(hide_password=False),
        }
        pool = self._options is PREFORK
        options = (*self._options, "--concurrency", str(self.processes)) if pool else self._options
        environments = [{**environment, "BENCH_NUMBER": str(number)} for number in range(self.processes)]
        command = module("benchmarks.stock_worker", *options)
        with children(1 if pool else self.processes, command, environments, log) as started:
            yield [child.pid for child in started]


class Noop(Stock):
    """A task that does nothing, without arguments."""

    task = "bench.noop"

    def written(self, commands: int) -> tuple[list[tuple[str, dict[str, Any]]], None]:
        """Messages without arguments."""
        return [(str(uuid4()), {}) for _ in range(commands)], None


class Single(QueueCandidate):
    """runworker, a command a message."""

    task = "runworker.advance_step"

    def written(self, commands: int) -> tuple[list[tuple[str, dict[str, Any]]], Work]:
        """A message for each command, whose id is its key."""
        work = self.workload.work(commands)
        return [(fields["idempotency_key"], fields) for fields in work.commands], work

    @contextmanager
    def running(self, log: Path) -> Iterator[list[int]]:
        """Start workers that end with the block."""
        options = [f"{name.replace('_', '.', 1)}={json.dumps(value)}" for name, value in self.celery.items()]
        pool = self._options is PREFORK
        concurrency = ("--concurrency", str(self.processes)) if pool else ()
        given = (*self._options, *concurrency, *self.own_queue.worker_options, *options)
        with WorkerProcesses(self.own_queue.settings, name=f"{self.name}-", log=log, options=given) as workers:
            workers.start(1 if pool else self.processes)
            yield [worker.pid for worker in workers.running]


class Bulk(Single):
    """runworker, fifty commands a message."""

    task = "runworker.apply"
    together: Final = 50

    def written(self, commands: int) -> tuple[list[tuple[str, dict[str, Any]]], Work]:
        """A message for every fifty commands."""
        work = self.workload.work(commands)
        items = [{"command": "advance_step", **fields} for fields in work.commands]
        bulks = [items[first : first + self.together] for first in range(0, len(items), self.together)]
        return [(str(uuid4()), {"commands": bulk}) for bulk in bulks], work


class Orm(Stock, Single):
    """An ORM transaction a message, on the same tables, guards and audit trail."""

    task = "bench.orm_advance"
