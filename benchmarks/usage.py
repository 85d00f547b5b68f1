"""What processes use, from /proc: processor time by kind of process, and resident memory."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KINDS: Final = {"postgres": "postgres", "valkey-server": "broker", "redis-server": "broker"}


def resident(pids: Iterable[int]) -> float:
    """Resident memory of processes, in MiB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_seconds() -> dict[str, float]:
    """Processor time so far of the benchmark itself and all that it started, by kind: bench, workers, postgres, broker.

    Servers that others started are not among them.
    """
    stats = dict(_stats())
    kinds = {os.getpid(): "bench"}
    spent: dict[str, float] = {}
    for pid, (name, parent, own, buried) in sorted(stats.items()):
        kind = _kind(pid, name, parent, kinds, stats)
        if kind is None:
            continue
        # A backend that has ended is counted by the server that was its parent.
        spent[kind] = spent.get(kind, 0.0) + own + (buried if kind == "postgres" else 0.0)
    return spent


def spent_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds that passed between two readings, by kind."""
    return {kind: round(max(0.0, seconds - before.get(kind, 0.0)), 2) for kind, seconds in sorted(after.items())}


def _kind(
    pid: int, name: str, parent: int, kinds: dict[int, str], stats: Mapping[int, tuple[str, int, float, float]]
) -> str | None:
    if pid in kinds:
        return kinds[pid]
    if parent not in stats:
        return None
    above = kinds.get(parent) or _kind(parent, stats[parent][0], stats[parent][1], kinds, stats)
    if above is None:
        return None
    kinds[pid] = _KINDS.get(name, "workers")
    return kinds[pid]


def _stats() -> Iterable[tuple[int, tuple[str, int, float, float]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue  # it has ended meanwhile
            name = text[text.index("(") + 1 : text.rindex(")")]
            parts = text[text.rindex(")") + 2 :].split()
            times = [int(part) / _TICKS for part in parts[11:15]]
            yield int(folder.name), (name, int(parts[1]), times[0] + times[1], times[2] + times[3])
