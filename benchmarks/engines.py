"""runworker's engine without a broker: what is left when nothing has to be delivered."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import Child, children, module
from benchmarks.contenders import Contender
from benchmarks.workload import Work, Workload
from runworker.workers import environment_of

DONE_SECONDS = 600.0


class EngineContender(Contender):
    """Processes that call `Engine.apply` with a hundred commands at a time, each on runs of its own."""

    opening = 4000

    def __init__(self, name: str, workload: Workload, processes: int) -> None:
        super().__init__(name, processes)
        self.workload = workload
        self._children: list[Child] = []

    @contextmanager
    def running(self, log: Path) -> Iterator[list[int]]:
        """Start processes that end with the block."""
        environment = environment_of(self.workload.plant.settings)
        command = module("benchmarks.engine_process")
        with children(self.processes, command, [environment], log) as self._children:
            yield [child.pid for child in self._children]

    def lay(self, commands: int) -> Work:
        """Give each process the commands of its runs, and let it read them."""
        work = self.workload.work(commands)
        for number, child in enumerate(self._children):
            child.tell(json.dumps(work.commands[number :: self.processes]))
        for child in self._children:
            child.expect("laid")
        return work

    def do(self, laid: Work) -> float:
        """Say go, and wait for all."""
        began = time.perf_counter()
        for child in self._children:
            child.tell("go")
        for child in self._children:
            child.expect("done", DONE_SECONDS)
        return time.perf_counter() - began

    def size(self, laid: Work) -> int:
        """Commands."""
        return len(laid.commands)

    def shortcomings(self, laid: Work) -> list[str]:
        """Ask the database."""
        return self.workload.shortcomings(laid)
