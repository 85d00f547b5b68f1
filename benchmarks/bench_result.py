"""All that came of a run of the benchmark."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rounds import Measurement
from benchmarks.testbed import Testbed


@dataclass
class BenchResult:
    """Everything that was measured. failures: what was lost or is not as it has to be; empty when all is well."""

    machine: dict[str, Any]
    measured_at: str
    ratios: dict[str, float | None] = field(default_factory=dict)
    rates: dict[str, float | None] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    latency_ms: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, float] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    history: dict[str, float | None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def take(self, results: Mapping[str, Measurement], *, as_rates: bool = True) -> None:
        """Take in what rounds of candidates brought."""
        for name, result in results.items():
            if as_rates:
                self.rates[name] = result.rate
            self.details[name] = result.as_dict()
            self.failures += result.shortcomings

    def as_dict(self) -> dict[str, Any]:
        """JSON types; parts that were not measured are left out."""
        parts = {
            "latency_ms": self.latency_ms,
            "profile": self.profile,
            "memory": self.memory,
            "history": self.history,
        }
        return {
            "ratios": self.ratios,
            "rates": self.rates,
            "machine": self.machine,
            "measured_at": self.measured_at,
            "details": self.details,
            **{name: part for name, part in parts.items() if part},
            "failures": self.failures,
        }


def machine(testbed: Testbed) -> dict[str, Any]:
    """Describes the machine. load_before: of the last minute; above 1 somebody else was working there."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": names[0] if names else platform.machine(),
        "memory_gib": round(memory, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **testbed.description(),
    }
