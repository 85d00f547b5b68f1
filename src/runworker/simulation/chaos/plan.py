"""What a run of chaos does: which faults, how often, to which workers, under which load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runworker.simulation.chaos.crew import CrewPlan
from runworker.simulation.chaos.faults import FAULTS
from runworker.simulation.chaos.inside import Point
from runworker.simulation.chaos.load import WaveSize

RATES: Final[Mapping[Point, float]] = {
    Point.DEATH_BEFORE_COMMIT: 0.001,
    Point.DEATH_AFTER_COMMIT: 0.001,
    Point.DEATH_BEFORE_ACK: 0.0002,
    Point.LOSS_BEFORE_COMMIT: 0.003,
    Point.LOSS_AFTER_COMMIT: 0.003,
    Point.LOSS_BEFORE_ACK: 0.0005,
}

SETTINGS: Final[Mapping[str, Any]] = {
    # Small, so that neighbours are at work at the same time in different workers.
    "batch_size": 20,
    # So that a lock or a wait of some seconds is beyond them.
    "lock_timeout_seconds": 1,
    "statement_timeout_seconds": 2,
    "connect_timeout_seconds": 2,
    "retry_seconds": 2,
    "sweep_seconds": 1,
    "wait_seconds": 24 * 3600,
}
"""Of the workers, where not as for everybody. No command waits in vain: what it waits for is sent again until it comes,
which may take longer than a plant would wait."""


@dataclass(frozen=True)
class ChaosPlan:
    """seconds: how long faults come; the same seed gives the same faults in the same order.

    faults: names of `FAULTS`. fault_every: seconds between two, by default as `schedule` says. disturb_every: seconds
    between two disturbances of workers. rate: commands a second. patience: seconds without anything new after which
    nobody waits for the end any more; longer than the visibility timeout, as some messages come back by that alone.
    settings: of the workers.
    """

    seconds: float
    seed: int
    faults: Sequence[str] = tuple(FAULTS)
    fault_every: float | None = None
    disturb_every: float = 6.0
    crew: CrewPlan = field(default_factory=lambda: CrewPlan(rates=RATES))
    wave: WaveSize = field(default_factory=WaveSize)
    rate: float = 80.0
    patience: float = 90.0
    settings: Mapping[str, Any] = field(default_factory=lambda: SETTINGS)
