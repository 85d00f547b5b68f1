"""The workers that chaos kills, stops and replaces, as a supervisor such as systemd would."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from runworker.config import Settings
from runworker.simulation.chaos.inside import CLOCK_OFF_SECONDS, DEATHS, ORDERS, Point, begin, end
from runworker.workers import WorkerProcess
from runworker.workers.forked import ForkedWorkers

WORKER: Final = "runworker.simulation.chaos.worker"
"""What every worker of a crew imports."""

_ALONE: Final = ("--without-gossip", "--without-mingle")
SOLO: Final = ("--pool", "solo", *_ALONE)
PREFORK: Final = ("--pool", "prefork", "--concurrency", "2", *_ALONE)

KILLED: Final = "worker killed"

LEAST_READY: Final = 2

STOPPED_SECONDS: Final = (1.0, 8.0)
"""For how long a process stands still, at least and at most: for longer than its lease, some of the time."""


@dataclass(frozen=True, slots=True)
class Place:
    """One worker of the crew. options: Celery's. clock_off: seconds by which its clock is wrong."""

    options: Sequence[str] = SOLO
    clock_off: float = 0.0


CREW: Final = (Place(PREFORK), Place(), Place(), Place(clock_off=CLOCK_OFF_SECONDS))


@dataclass(frozen=True, slots=True)
class CrewPlan:
    """places: of the workers. rates: how likely each fault inside a worker is, each time. modules: further ones that
    workers import."""

    places: Sequence[Place] = CREW
    rates: Mapping[Point, float] = field(default_factory=dict)
    modules: Sequence[str] = ()


class Crew:
    """Workers, each of which is replaced when it has died, as a context manager.

    directory: takes their logs, and a line for each death that a worker brought about itself. killed: by what, how
    often. ended: workers that ended by themselves, in words.
    """

    def __init__(self, settings: Settings, plan: CrewPlan, random: Random, directory: Path) -> None:
        self.killed: Counter[str] = Counter()
        self.ended: list[str] = []
        self._random = random
        self._deaths = directory / "deaths.log"
        self._deaths.touch()
        end(self._deaths)  # until all workers are there
        self._stopped: dict[int, float] = {}
        self._expected: set[int] = set()
        self._ready: set[int] = set()
        self._places = [
            ForkedWorkers(
                settings,
                name=f"chaos{number}-",
                log=directory / f"worker{number}.log",
                options=(*place.options, "--include", ",".join((WORKER, *plan.modules))),
                variables=self._variables(plan, place),
            )
            for number, place in enumerate(plan.places, 1)
        ]

    def _variables(self, plan: CrewPlan, place: Place) -> Mapping[str, str]:
        orders = {"seed": self._random.getrandbits(64), "rates": dict(plan.rates), "clock_off": place.clock_off}
        return {ORDERS: json.dumps(orders), DEATHS: str(self._deaths)}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for place in self._places:
                stack.enter_context(place)
            stack.callback(self.calm_down)
            for place in self._places:
                place.start()
            self._ready = {worker.pid for worker in self.workers}
            begin(self._deaths)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def workers(self) -> list[WorkerProcess]:
        """Those that are there at this moment."""
        return [worker for place in self._places for worker in place.running]

    @property
    def inside(self) -> Counter[str]:
        """How often each fault happened inside workers."""
        lines = self._deaths.read_text("utf-8").splitlines()
        return Counter(line.split()[1] for line in lines)

    def supervise(self) -> None:
        """Let go on what stood still for long enough, and replace workers that are dead."""
        now = time.monotonic()
        for pid in [pid for pid, until in self._stopped.items() if until <= now]:
            self._resume(pid)
        for place in self._places:
            for worker in place.take_ended():
                self._stopped.pop(worker.pid, None)
                self._ready.discard(worker.pid)
                if not self._is_on_purpose(worker):
                    self.ended.append(f"the worker {worker.name} ended by itself, with exit code {worker.exit_code}")
                place.launch()
        for worker in self.workers:
            if worker.pid not in self._ready and wait_for_any([worker.told], 0) and worker.heard():
                self._ready.add(worker.pid)

    def disturb(self) -> str | None:
        """Do one of the things that happen to workers. Returns what, and to which process.

        None where nothing was done, for no two workers take messages: on a slow machine none would be left at all.
        """
        if len(self._ready - self._stopped.keys()) < LEAST_READY:
            return None
        harm = self._random.choice((self._kill, self._kill, self._kill, self._kill_child, self._stop, self._stop_child))
        return harm()

    def _kill(self) -> str:
        worker = self._random.choice(self.workers)
        self._expected.add(worker.pid)
        worker.send(signal.SIGKILL)
        return self._count(KILLED, worker.pid)

    def _kill_child(self) -> str:
        if not (children := self._children()):
            return self._kill()
        child = self._random.choice(children)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        return self._count("pool process killed", child)

    def _stop(self) -> str:
        pid = self._random.choice(self.workers).pid
        return self._stand_still(pid, "worker stopped for a while")

    def _stop_child(self) -> str:
        if not (children := self._children()):
            return self._stop()
        return self._stand_still(self._random.choice(children), "pool process stopped for a while")

    def _stand_still(self, pid: int, what: str) -> str:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        self._stopped[pid] = time.monotonic() + self._random.uniform(*STOPPED_SECONDS)
        return self._count(what, pid)

    def calm_down(self) -> None:
        """Let go on whatever stands still, and let nothing more happen inside workers."""
        end(self._deaths)
        for pid in list(self._stopped):
            self._resume(pid)

    def _resume(self, pid: int) -> None:
        del self._stopped[pid]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _children(self) -> list[int]:
        return [child for worker in self.workers for child in _children_of(worker.pid)]

    def _is_on_purpose(self, worker: WorkerProcess) -> bool:
        brought_about = {int(line.split()[0]) for line in self._deaths.read_text("utf-8").splitlines()}
        return worker.exit_code == -signal.SIGKILL and worker.pid in self._expected | brought_about

    def _count(self, what: str, pid: int) -> str:
        self.killed[what] += 1
        return f"{what} (pid {pid})"


def _children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except OSError:
        return []  # it has just ended
