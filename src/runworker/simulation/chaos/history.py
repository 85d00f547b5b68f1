"""The history of a client: what it sent, what the broker took, and what it was told, each with its time.

It is the client's own knowledge, kept in this process and, line by line, in a file: nothing of it is read from the
database or from a worker.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from runworker.states import DECIDED_COMMANDS

Wire = Mapping[str, Any]

_FINAL = frozenset(str(status) for status in DECIDED_COMMANDS)


class Way(StrEnum):
    """How something was sent."""

    ALONE = "alone"
    PACKED = "packed"
    ENQUEUED = "enqueued"
    DAMAGED = "damaged"


@dataclass(slots=True)
class Exchange:
    """All that passed between the client and the plant about one key.

    command: its name; None for a message that was damaged on purpose, whose key is the one of a dead letter.
    accepted: how often sending returned. accepted_at: when it did so last, in seconds since the epoch. told: what was
    read as its verdict, in order, without repetitions of the same.
    """

    command: str | None
    accepted: int = 0
    accepted_at: float = 0.0
    is_enqueued: bool = False
    told: list[Wire] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        """Whether the last that was told is final."""
        return bool(self.told) and self.told[-1].get("status") in _FINAL


class History:
    """What happened, as the client saw it. Safe to share between threads.

    exchanges: by key. losses: times until which the broker lost what it had accepted, by a fault that says so.
    """

    def __init__(self, file: Path) -> None:
        self.exchanges: dict[str, Exchange] = {}
        self.losses: list[float] = []
        self.messages = 0
        self._open: dict[str, None] = {}
        self._lock = threading.Lock()
        self._file: TextIO = file.open("w", encoding="utf-8", buffering=1)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def plan(self, key: str, command: str | None, *, is_answered: bool = True) -> None:
        """Note that a command, or a damaged message, is about to be sent. is_answered: whether a verdict can come."""
        with self._lock:
            self.exchanges[key] = Exchange(command)
            if is_answered:
                self._open[key] = None

    def sent(self, keys: Sequence[str], way: Way, began: float) -> None:
        """Note a message that sending returned for. began: when."""
        with self._lock:
            self.messages += 1
            for key in keys:
                exchange = self.exchanges[key]
                exchange.accepted += 1
                exchange.accepted_at = began
                exchange.is_enqueued |= way is Way.ENQUEUED
            self._write("sent", began, keys=keys, way=way)

    def refused(self, keys: Sequence[str], error: Exception) -> None:
        """Note a message that sending raised an error for. It may have arrived or not."""
        with self._lock:
            self._write("refused", time.time(), keys=keys, error=f"{error!r:.200}")

    def told(self, key: str, wire: Wire) -> None:
        """Note a verdict that was read, unless it is what was told before."""
        with self._lock:
            exchange = self.exchanges[key]
            if exchange.told and same(exchange.told[-1], wire):
                return
            exchange.told.append(wire)
            if exchange.is_told:
                self._open.pop(key, None)
            else:
                self._open[key] = None
            self._write("told", time.time(), key=key, verdict=wire)

    def lost(self) -> None:
        """Note that the broker has lost its data: what it accepted up to now may never arrive."""
        with self._lock:
            self.losses.append(time.time())
            self._write("lost", self.losses[-1])

    def noted(self, event: str, **facts: Any) -> None:
        """Note something else that happened, for who reads the file."""
        with self._lock:
            self._write(event, time.time(), **facts)

    def open_keys(self) -> list[str]:
        """Keys without a final verdict, in the order of their plan, of those that can get one."""
        with self._lock:
            return list(self._open)

    def is_excused(self, key: str) -> bool:
        """Whether the command need not arrive: nobody took it, or the broker did alone, and has lost its data since."""
        exchange = self.exchanges[key]
        if exchange.is_enqueued:
            return False
        return not exchange.accepted or any(exchange.accepted_at <= loss for loss in self.losses)

    def _write(self, event: str, at: float, **facts: Any) -> None:
        self._file.write(json.dumps({"at": round(at, 3), "event": event, **facts}, default=str) + "\n")


def same(one: Wire, other: Wire) -> bool:
    """Whether two verdicts say the same. A replay says what the first answer said."""
    return {**one, "replayed": None} == {**other, "replayed": None}
