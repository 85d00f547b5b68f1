"""Medians, percentiles, ratios, and what the ratios are to be."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

OF_RATES: Final = {
    "single_to_noop": ("single", "noop"),
    "bulk_to_noop": ("bulk", "noop"),
    "single_to_dbos": ("single", "dbos"),
    "single_to_procrastinate": ("single", "procrastinate"),
    "bulk_to_engine": ("bulk", "engine"),
}
"""Name of a ratio, and the two rates that it divides."""


@dataclass(frozen=True)
class Target:
    """What a ratio is to be. at_least: or at most."""

    what: str
    value: float
    at_least: bool = True

    def reached(self, ratio: float) -> bool:
        """Whether a measured ratio is as it is to be."""
        return ratio >= self.value if self.at_least else ratio <= self.value


TARGETS: Final = {
    "single_to_noop": Target("single messages ÷ stock no-op, two processes each", 2.0),
    "bulk_to_noop": Target("bulk, 50 a message ÷ stock no-op", 4.0),
    "single_to_dbos": Target("single messages ÷ DBOS steps", 12.0),
    "single_to_procrastinate": Target("single messages ÷ Procrastinate jobs", 8.0),
    "bulk_to_engine": Target("bulk ÷ engine without broker", 0.7),
    "latency_p50_to_noop": Target("latency at 50 messages/s, p50 ÷ a no-op's", 2.0, at_least=False),
    "latency_p99_to_noop": Target("latency at 50 messages/s, p99 ÷ a no-op's", 2.0, at_least=False),
    "history_5m_to_empty": Target("throughput with 5 million ledger rows ÷ empty", 0.85),
    "memory_200k_to_20k": Target("resident memory after 200,000 commands ÷ after 20,000", 1.1, at_least=False),
}


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed. share: above 0 and up to 1."""
    return sorted(values)[max(1, math.ceil(len(values) * share)) - 1]


def ratio(above: float | None, below: float | None) -> float | None:
    """The quotient to three significant places, or None where one of the two was not measured."""
    return float(f"{above / below:.3g}") if above is not None and below else None


def ratios_of(rates: Mapping[str, float | None]) -> dict[str, float | None]:
    """Every ratio of rates; None where one of the two is missing."""
    return {name: ratio(rates.get(above), rates.get(below)) for name, (above, below) in OF_RATES.items()}
