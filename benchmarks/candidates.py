"""The base of all candidates: each runs its processes, lays work out, does it, and is checked."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.children import Child
from benchmarks.workload import Work
from runworker.errors import ServerError

DONE_SECONDS: Final = 600.0


class Missing(ServerError):
    """A candidate's program or package cannot be had here; the text says why. The others are measured without it."""


class Candidate(ABC):
    """One way of doing commands. name: its rate's name. processes: how many do the work.

    opening: how many commands it is given at first, before anything is known of its rate.
    """

    opening = 1000

    def __init__(self, name: str, processes: int) -> None:
        self.name = name
        self.processes = processes

    @contextmanager
    @abstractmethod
    def running(self, log: Path) -> Iterator[list[int]]:
        """Its processes, started and idle, for as long as the block lasts; their pids."""

    @abstractmethod
    def lay(self, commands: int) -> Any:
        """About so many commands, ready to be done the moment they are let go."""

    @abstractmethod
    def do(self, laid: Any) -> float:
        """Let them go all at once, and wait until the last is done. Seconds between the two."""

    @abstractmethod
    def shortcomings(self, laid: Any) -> list[str]:
        """What is not there afterwards although it should be. Empty when all was done."""

    @abstractmethod
    def size(self, laid: Any) -> int:
        """How many commands these are."""


class PreloadedCandidate(Candidate):
    """One without a queue: its processes are given their commands, and then told to go."""

    def __init__(self, name: str, processes: int) -> None:
        super().__init__(name, processes)
        self._children: list[Child] = []

    def hand_out(self, work: Work) -> Work:
        """Give each process the commands of its runs, and let it read them."""
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
