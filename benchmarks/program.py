"""What the command does: lay the ground, measure what was asked for, say what came of it."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders import Contender
from benchmarks.contest import Contest, Pace, Result, Screen
from benchmarks.engines import EngineContender
from benchmarks.figures import RATIOS, ratios
from benchmarks.ground import Ground, ground
from benchmarks.queues import Bulk, Noop, Orm, Single
from benchmarks.workload import Workload
from runworker.config import Settings

QUICK: Final = Pace(rounds=3, seconds=2.0, least=400, most=20_000)
FULL: Final = Pace(rounds=3, seconds=4.0, least=1000, most=60_000)


@dataclass
class Outcome:
    """Everything that was measured. failures: what was lost or is not as it has to be; empty when all is well."""

    machine: dict[str, Any]
    results: dict[str, Result] = field(default_factory=dict)
    rates: dict[str, float | None] = field(default_factory=dict)
    ratios: dict[str, float | None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "ratios": self.ratios,
            "rates": self.rates,
            "machine": self.machine,
            "details": {name: result.as_dict() for name, result in self.results.items()},
            "failures": self.failures,
        }


Maker = Callable[[str, Workload], Contender]

CONTENDERS: Final[Mapping[str, Maker]] = {
    "noop": Noop,
    "single": Single,
    "bulk": Bulk,
    "engine": lambda name, workload: EngineContender(name, workload, 2),
    "orm": Orm,
}
IN_QUICK: Final = ("noop", "single", "bulk", "engine")


def perform(given: Settings, directory: Path, screen: Screen, *, quick: bool, only: Sequence[str]) -> Outcome:
    """Measure. directory: for the servers' data and for logs. Call it from the main thread."""
    names = list(only or (IN_QUICK if quick else CONTENDERS))
    with ground(given, directory) as place:
        outcome = Outcome(_machine(place))
        _contest(place, Contest(QUICK if quick else FULL, directory / "bench.log", screen), names, outcome)
    return outcome


def _contest(place: Ground, contest: Contest, names: Sequence[str], outcome: Outcome) -> None:
    workload = Workload(place.plant("plant"))
    try:
        outcome.results = contest.measure([CONTENDERS[name](name, workload) for name in names])
    finally:
        workload.close()
    outcome.rates = {name: result.rate for name, result in outcome.results.items()}
    outcome.rates["start_run"] = round(workload.started / workload.seconds, 1) if workload.started else None
    outcome.failures = [wrong for result in outcome.results.values() for wrong in result.shortcomings]
    outcome.ratios = {name: ratios(outcome.rates)[name] for name in RATIOS}


def _machine(place: Ground) -> dict[str, Any]:
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": cpu,
        "memory_gib": round(memory, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **place.told(),
    }
