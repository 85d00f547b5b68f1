"""What every contender can do: run its processes, lay work out, do it, and be checked."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runworker.errors import ServerError


class Missing(ServerError):
    """A contender's program or package cannot be had here; the text says why. The others are measured without it."""


class Contender(ABC):
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
