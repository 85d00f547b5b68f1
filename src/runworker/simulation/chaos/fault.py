"""The shape of a fault."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Literal

from runworker.simulation.chaos.site import ChaosSite

Subject = Literal["broker", "postgres", "network"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Harm to servers that lasts as long as a block.

    Entering `disturb` begins it. Leaving ends it: the servers are back and take writes when that returns, or it raises
    ServerError. Both in the main thread, one fault at a time. What a fault costs for good (a standby)
    `ChaosSite.restore` brings back. The Random picks what a fault leaves open: which table, how long a delay.
    """

    name: str
    subject: Subject
    disturb: Callable[[ChaosSite, Random], AbstractContextManager[None]]
