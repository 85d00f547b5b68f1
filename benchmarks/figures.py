"""Medians, percentiles and ratios."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

RATIOS: Final = {
    "single_to_noop": ("single", "noop"),
    "bulk_to_noop": ("bulk", "noop"),
    "single_to_dbos": ("single", "dbos"),
    "single_to_procrastinate": ("single", "procrastinate"),
    "bulk_to_engine": ("bulk", "engine"),
}
"""Name of a ratio, and the two rates that it divides."""


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed. share: above 0 and up to 1."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(len(ordered) * share)) - 1]


def ratio(above: float | None, below: float | None) -> float | None:
    """The quotient to three significant places, or None where one of the two was not measured."""
    return float(f"{above / below:.3g}") if above is not None and below else None


def ratios(rates: Mapping[str, float | None]) -> dict[str, float | None]:
    """Every ratio of rates; None where one of the two is missing."""
    return {name: ratio(rates.get(above), rates.get(below)) for name, (above, below) in RATIOS.items()}
