"""Measures contenders side by side: round after round, each once a round, every round checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg
from redis.exceptions import RedisError

from benchmarks.contenders import Contender
from benchmarks.figures import median
from benchmarks.usage import processor_seconds, resident, spent_between
from runworker.errors import ServerError

SEVERAL: Final = 3.0
"""By how much the number of commands may grow from one round to the next."""


@dataclass(frozen=True)
class Pace:
    """How much is measured.

    seconds: how long a contender shall work in one round; least, most: commands in one round; latency_seconds: how
    long messages are sent at one rate in one round; warm_up: commands that are done before anything is timed, as
    connections are made and statements prepared then.
    """

    rounds: int
    seconds: float
    least: int
    most: int
    latency_seconds: float = 4.0
    warm_up: int = 400


@dataclass
class Result:
    """What was measured of one contender, a value a round."""

    rates: list[float] = field(default_factory=list)
    commands: list[int] = field(default_factory=list)
    processor: list[dict[str, float]] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    shortcomings: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def rate(self) -> float | None:
        """Commands a second, the median of all rounds; None where it did not come through them."""
        return None if self.failed or not self.rates else round(median(self.rates), 1)

    def as_dict(self) -> dict[str, Any]:
        """JSON types. processor: seconds a thousand commands, by kind of process; resident: MiB of all workers."""
        thousands = max(1, sum(self.commands)) / 1000
        kinds = sorted({kind for spent in self.processor for kind in spent})
        return {
            "rate": self.rate,
            "rates": [round(rate, 1) for rate in self.rates],
            "commands": self.commands,
            "processor_seconds_per_1000": {
                kind: round(sum(spent.get(kind, 0.0) for spent in self.processor) / thousands, 3) for kind in kinds
            },
            "resident_mib": round(median(self.resident), 1) if self.resident else None,
        }


Extra = Callable[[Contender, float], None]
"""What else is measured while a contender's processes run; it is told the rate they just had."""


class Screen(Protocol):
    """What a person sees meanwhile."""

    def say(self, line: str) -> None:
        """Tell of one thing that happened."""

    def show(self, what: str, done: int, total: int) -> None:
        """Move a bar."""


class Contest:
    """Rounds of contenders. log: takes what processes write."""

    def __init__(self, pace: Pace, log: Path, screen: Screen) -> None:
        self.pace = pace
        self._log = log
        self._screen = screen

    def measure(self, contenders: Sequence[Contender], extra: Extra | None = None) -> dict[str, Result]:
        """A B C A B C …; each contender's processes run only while it is its turn."""
        results = {contender.name: Result() for contender in contenders}
        for number, contender in enumerate(list(contenders) * self.pace.rounds):
            result, turn = results[contender.name], number // len(contenders) + 1
            if result.failed:
                continue
            try:
                self._round(contender, result, extra)
                self._screen.say(f"round {turn}: {contender.name} {result.rates[-1]:,.0f} commands/s")
            except (ServerError, RedisError, psycopg.Error) as error:
                result.failed = True
                result.shortcomings.append(f"{contender.name}: {error}")
                self._screen.say(f"round {turn}: {contender.name} failed: {error}")
            self._screen.show("rounds", number + 1, len(contenders) * self.pace.rounds)
        return results

    def _round(self, contender: Contender, result: Result, extra: Extra | None) -> None:
        with contender.running(self._log) as pids:
            warm = self.timed(contender, self.pace.warm_up, result)
            known = result.rates[-1] if result.rates else None
            commands = self._fitting(known or warm, result.commands[-1] if known else contender.opening)
            laid = contender.lay(commands)
            before = processor_seconds()
            seconds = contender.do(laid)
            result.processor.append(spent_between(before, processor_seconds()))
            result.resident.append(resident(pids))
            result.shortcomings += [f"{contender.name}: {wrong}" for wrong in contender.shortcomings(laid)]
            result.rates.append(contender.size(laid) / seconds)
            result.commands.append(contender.size(laid))
            if extra is not None:
                extra(contender, result.rates[-1])

    def timed(self, contender: Contender, commands: int, result: Result) -> float:
        """Do so many commands, check them, and return how many that was a second."""
        laid = contender.lay(commands)
        seconds = contender.do(laid)
        result.shortcomings += [f"{contender.name}: {wrong}" for wrong in contender.shortcomings(laid)]
        return contender.size(laid) / seconds

    def _fitting(self, rate: float, before: int) -> int:
        """How many commands keep a contender busy for as long as it shall be."""
        wanted = min(rate * self.pace.seconds, SEVERAL * max(before, self.pace.least))
        return int(min(max(wanted, self.pace.least), self.pace.most))
