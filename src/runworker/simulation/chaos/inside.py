"""Faults inside a worker, which chaos orders by a variable of its environment.

At random, and from the seed: the process dies before a COMMIT, after it, or before an acknowledgement; the connection
is lost there; the clock is a day off. What kills the process is written down first, so that nobody takes it for a
worker that ended by itself.
"""

import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import psycopg
from sqlalchemy.engine.default import DefaultDialect

from runworker.transport.acknowledging import QoS

ORDERS: Final = "CHAOS_ORDERS"
"""Variable with what shall happen in this worker: {"seed", "rates": by point, "clock_off": seconds}."""

DEATHS: Final = "CHAOS_DEATHS"
"""Variable with the file that takes a line for each fault."""

CLOCK_OFF_SECONDS: Final = 86_400.0


_READ_THE_CLOCK: Final = frozenset({"runworker", "celery", "kombu", "billiard", "redis", "structlog", "logging"})


class Point(StrEnum):
    """A moment inside a worker, and what happens then."""

    DEATH_BEFORE_COMMIT = "death-before-commit"
    DEATH_AFTER_COMMIT = "death-after-commit"
    DEATH_BEFORE_ACK = "death-before-ack"
    LOSS_BEFORE_COMMIT = "connection-lost-before-commit"
    LOSS_AFTER_COMMIT = "connection-lost-after-commit"
    LOSS_BEFORE_ACK = "connection-lost-before-ack"


def begin(deaths: Path) -> None:
    """Let things happen inside workers. deaths: the file that takes a line for each."""
    deaths.chmod(0o600)


def end(deaths: Path) -> None:
    """Let nothing more happen inside workers."""
    deaths.chmod(0o400)


def _is_calm(deaths: Path) -> bool:
    return not deaths.stat().st_mode & stat.S_IWUSR


class _Chance:
    """Says at each point whether its fault happens now. A forked process draws numbers of its own."""

    def __init__(self, seed: int, rates: dict[str, float]) -> None:
        self._seed = seed
        self._rates = rates
        self._deaths = Path(os.environ[DEATHS])
        self._reseed()
        os.register_at_fork(after_in_child=self._reseed)

    def _reseed(self) -> None:
        self._random = Random(f"{self._seed} {os.getpid()}")  # noqa: S311 - a plan to repeat, not a secret

    def comes(self, point: Point) -> bool:
        """Whether it happens; written down if so."""
        if self._random.random() >= self._rates.get(point, 0.0) or _is_calm(self._deaths):
            return False
        with self._deaths.open("a", encoding="utf-8") as deaths:
            deaths.write(f"{os.getpid()} {point}\n")
        return True


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _cut(connection: psycopg.Connection) -> None:
    """Cut a connection as a network does: neither side is told first."""
    with socket.socket(fileno=os.dup(connection.fileno())) as wire, suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


def _disturb_commits(chance: _Chance) -> None:
    commit: Callable[[Any, Any], None] = DefaultDialect.do_commit

    def disturbed(dialect: Any, dbapi_connection: Any) -> None:
        driver = dbapi_connection.driver_connection
        if chance.comes(Point.DEATH_BEFORE_COMMIT):
            _die()
        if chance.comes(Point.LOSS_BEFORE_COMMIT):
            _cut(driver)
        commit(dialect, dbapi_connection)
        if chance.comes(Point.DEATH_AFTER_COMMIT):
            _die()
        if chance.comes(Point.LOSS_AFTER_COMMIT):
            driver.close()
            raise psycopg.OperationalError("the connection was lost before the answer to COMMIT came")

    DefaultDialect.do_commit = disturbed  # type: ignore[method-assign]


def _disturb_acknowledgements(chance: _Chance) -> None:
    acknowledge = QoS.ack

    def disturbed(qos: QoS, delivery_tag: str) -> None:
        if chance.comes(Point.DEATH_BEFORE_ACK):
            _die()
        if chance.comes(Point.LOSS_BEFORE_ACK):
            qos.channel.server.connection_pool.disconnect()
        acknowledge(qos, delivery_tag)

    QoS.ack = disturbed  # type: ignore[method-assign, assignment]


def _set_clock_off(seconds: float) -> None:
    """Make this worker's clock wrong wherever it is read: by Python's modules that are imported, and by those to come.

    Measuring how long something takes goes by another clock, which nobody sets.
    """
    right = time.time

    def wrong() -> float:
        return right() + seconds

    class Likewise(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class WrongDatetime(datetime, metaclass=Likewise):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(seconds=seconds)

        @classmethod
        def utcnow(cls) -> Self:
            return cls.now()

    for name, module in list(sys.modules.items()):
        if name != __name__ and name.partition(".")[0] in _READ_THE_CLOCK:
            for attribute, value in list(vars(module).items()):
                if value is right:
                    setattr(module, attribute, wrong)
                elif value is datetime:
                    setattr(module, attribute, WrongDatetime)
    time.time = wrong


def obey() -> None:
    """Bring the faults about that this process's environment orders. Call it in a worker, once."""
    orders = json.loads(os.environ[ORDERS])
    chance = _Chance(orders["seed"], orders["rates"])
    _disturb_commits(chance)
    _disturb_acknowledgements(chance)
    if seconds := orders["clock_off"]:
        _set_clock_off(seconds)
