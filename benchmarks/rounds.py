"""Measures candidates side by side: round after round, each once a round, every round checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from redis.exceptions import RedisError

from benchmarks.candidates import Candidate
from benchmarks.figures import median
from benchmarks.usage import processor_seconds, resident, spent_between
from runworker.errors import ServerError
from runworker.simulation.execution import Display

SEVERAL: Final = 3.0
"""By how much the number of commands may grow from one round to the next."""


@dataclass(frozen=True)
class RoundLimits:
    """Limits of what is measured.

    seconds: how long a candidate shall work in one round; least, most: commands in one round; latency_seconds: how
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
class Measurement:
    """Figures of one candidate, a value a round."""

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


Extra = Callable[[Candidate, float], None]
"""Measures something else while a candidate's processes run; it is told the rate they just had."""


class Rounds:
    """Rounds of candidates. log: takes what processes write."""

    def __init__(self, limits: RoundLimits, log: Path, display: Display) -> None:
        self.limits = limits
        self._log = log
        self._display = display

    def measure(self, candidates: Sequence[Candidate], extra: Extra | None = None) -> dict[str, Measurement]:
        """A B C A B C …; each candidate's processes run only while it is its turn."""
        results = {candidate.name: Measurement() for candidate in candidates}
        for number, candidate in enumerate(list(candidates) * self.limits.rounds):
            result, turn = results[candidate.name], number // len(candidates) + 1
            if result.failed:
                continue
            try:
                self._round(candidate, result, extra)
                self._display.say(f"round {turn}: {candidate.name} {result.rates[-1]:,.0f} commands/s")
            except (ServerError, RedisError, psycopg.Error) as error:
                result.failed = True
                result.shortcomings.append(f"{candidate.name}: {error}")
                self._display.say(f"round {turn}: {candidate.name} failed: {error}")
            self._display.show("rounds", number + 1, len(candidates) * self.limits.rounds)
        return results

    def _round(self, candidate: Candidate, result: Measurement, extra: Extra | None) -> None:
        with candidate.running(self._log) as pids:
            warm = self.timed(candidate, self.limits.warm_up, result)
            known = result.rates[-1] if result.rates else None
            commands = self._fitting(known or warm, result.commands[-1] if known else candidate.opening)
            laid = candidate.lay(commands)
            before = processor_seconds()
            seconds = candidate.do(laid)
            result.processor.append(spent_between(before, processor_seconds()))
            result.resident.append(resident(pids))
            result.shortcomings += [f"{candidate.name}: {wrong}" for wrong in candidate.shortcomings(laid)]
            result.rates.append(candidate.size(laid) / seconds)
            result.commands.append(candidate.size(laid))
            if extra is not None:
                extra(candidate, result.rates[-1])

    def timed(self, candidate: Candidate, commands: int, result: Measurement) -> float:
        """Do so many commands, check them, and return how many that was a second."""
        laid = candidate.lay(commands)
        seconds = candidate.do(laid)
        result.shortcomings += [f"{candidate.name}: {wrong}" for wrong in candidate.shortcomings(laid)]
        return candidate.size(laid) / seconds

    def _fitting(self, rate: float, before: int) -> int:
        """How many commands keep a candidate busy for as long as it shall be."""
        wanted = min(rate * self.limits.seconds, SEVERAL * max(before, self.limits.least))
        return int(min(max(wanted, self.limits.least), self.limits.most))
