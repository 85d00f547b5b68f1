"""Where the engine's time goes: one process under Python's profiler, its own time by package.

The profiler makes every call dearer, so these are shares and no rates. Time in which PostgreSQL works is found where
psycopg waits for it.
"""

import pstats
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.engine_candidates import EngineCandidate
from benchmarks.workload import Workload

COMMANDS: Final = 8000
SMALL: Final = 0.01
"""Packages with a smaller share are told together."""

WAITING: Final = "waiting for PostgreSQL"
REST: Final = "all others"


def measured(workload: Workload, directory: Path) -> tuple[dict[str, float], list[str]]:
    """Shares of the time of one engine process by package, largest first, and what was lost."""
    file = directory / "engine.profile"
    candidate = EngineCandidate("profile", workload, 1, {"BENCH_PROFILE": str(file)})
    with candidate.running(directory / "bench.log"):
        for commands in (1000, COMMANDS):  # each writes the file anew: the first warms up
            laid = candidate.lay(commands)
            candidate.do(laid)
            lost = [f"profile: {wrong}" for wrong in candidate.shortcomings(laid)]
    return shares(pstats.Stats(str(file)).stats), lost


def shares(stats: Mapping[tuple[str, int, str], tuple[Any, ...]]) -> dict[str, float]:
    """Shares by package. stats: of pstats, by file, line and function."""
    seconds: Counter[str] = Counter()
    for (file, _, function), (_, _, own, *_) in stats.items():
        seconds[_package(file, function)] += own
    whole = seconds.total() or 1.0
    small = sum(spent for spent in seconds.values() if spent / whole < SMALL)
    large = {package: spent for package, spent in seconds.most_common() if spent / whole >= SMALL}
    return {package: round(spent / whole, 3) for package, spent in (large | {REST: small}).items()}


def _package(file: str, function: str) -> str:
    path = Path(file)
    if file == "~":  # not written in Python
        if any(word in function for word in ("poll", "select", "wait")):
            return WAITING
        return "psycopg" if "psycopg" in function else "pydantic" if "pydantic" in function else "built-in"
    if "psycopg" in file and function.startswith("wait"):
        return WAITING
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py").partition("_binary")[0]
    if "runworker" in path.parts:
        below = path.parts[len(path.parts) - path.parts[::-1].index("runworker") :]
        return f"runworker.{below[0].removesuffix('.py')}"
    return "standard library"
