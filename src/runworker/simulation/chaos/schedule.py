"""When which fault begins: a plan that is data, made from the seed before anything starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Final

ROUND_SECONDS: Final = 120.0
"""Within which each fault comes once: five times in ten minutes."""

LASTS_SECONDS: Final = (0.5, 2.5)
"""For how long a fault lasts, at least and at most."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A fault to come. at: seconds after the beginning. lasts: seconds."""

    at: float
    name: str
    lasts: float


def schedule(random: Random, names: Sequence[str], seconds: float, *, every: float | None = None) -> list[Turn]:
    """Faults at even distances, each as often as the others, in an order that changes from round to round.

    every: seconds from one to the next; by default as many as make a round of all.
    """
    if not names:
        return []
    pause = every or ROUND_SECONDS / len(names)
    count = max(1, round(seconds / pause))
    chosen = islice(_rounds(random, names), count)
    return [Turn(number * pause, name, random.uniform(*LASTS_SECONDS)) for number, name in enumerate(chosen)]


def _rounds(random: Random, names: Sequence[str]) -> Iterator[str]:
    while True:
        yield from random.sample(names, len(names))
