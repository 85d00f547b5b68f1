"""Whether workers grow: resident memory after twenty thousand commands and after two hundred thousand."""

import time
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import ratio
from benchmarks.queue_candidates import QueueCandidate
from benchmarks.usage import resident
from runworker.simulation.execution import Display

PORTION: Final = 20_000
PORTIONS: Final = 10
LONGEST_SECONDS: Final = 600.0


def measured(candidate: QueueCandidate, log: Path, display: Display) -> tuple[dict[str, Any], list[str]]:
    """MiB of all workers after each portion, and what was lost. Ends early where it takes too long."""
    points: list[tuple[int, float]] = []
    lost: list[str] = []
    commands, began = 0, time.monotonic()
    with candidate.running(log) as pids:
        for _ in range(PORTIONS):
            laid = candidate.lay(PORTION)
            candidate.do(laid)
            lost += [f"memory: {wrong}" for wrong in candidate.shortcomings(laid)]
            commands += candidate.size(laid)
            points.append((commands, round(resident(pids), 1)))
            display.show("memory, commands", commands, PORTION * PORTIONS)
            if time.monotonic() - began > LONGEST_SECONDS:
                break
    grown = ratio(points[-1][1], points[0][1]) if len(points) == PORTIONS else None
    return {"resident_mib": points, "memory_200k_to_20k": grown}, lost
