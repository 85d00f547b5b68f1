"""What a look at a whole plant costs: `python -m benchmarks.verification --events 1000000`.

Fills a database with runs through the engine, each with eleven steps and a lot that quality control passes, seals all
of it, and runs `runworker verify --json` in a process of its own. Prints the processor time of that process and of
PostgreSQL meanwhile, and how much memory each had at most; a sample is taken every tenth of a second.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import create_engine

from benchmarks.testbed import PlantDatabase, open_testbed
from benchmarks.usage import processor_seconds, spent_between
from benchmarks.workload import BATCH, STEPS, advances
from runworker.commands import parse
from runworker.config import Settings
from runworker.embedded import temporary_directory
from runworker.engine import Engine
from runworker.ids import new_id
from runworker.states import CommandStatus
from runworker.upkeep.seal import seal

RUNS: Final = 500
EVENTS: Final = 2 + 2 * STEPS + 1 + 2
"""Of a run: its start, advances, the lot, and the decision on it."""

LOOK_SECONDS: Final = 0.1
BACKENDS: Final = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

Asked = tuple[str, dict[str, Any]]
"""A command: its name and its fields."""


def main() -> None:
    """Fill, seal, verify, and print what it took."""
    options = argparse.ArgumentParser(description="Cost of `runworker verify`, by events in the audit trail.")
    options.add_argument("--events", type=int, default=1_000_000)
    given = options.parse_args()
    with temporary_directory() as directory, open_testbed(Settings(), directory) as testbed:
        plant = testbed.plant("verification")
        _fill(plant, given.events)
        with psycopg.connect(plant.conninfo, autocommit=True) as watch:
            watch.execute("VACUUM ANALYZE")
            _tell(*_verified(plant, watch))


def _fill(plant: PlantDatabase, events: int) -> None:
    engine = Engine(plant.settings)
    for first in range(0, events, RUNS * EVENTS):
        for commands in _lives(plant):
            for at in range(0, len(commands), BATCH):
                batch = [parse(name, fields) for name, fields in commands[at : at + BATCH]]
                refused = [each for each in engine.apply(batch) if each.status is not CommandStatus.APPLIED]
                if refused:
                    raise SystemExit(f"{len(refused)} of {len(batch)} were not applied: {refused[0]}")
        print(f"{first + RUNS * EVENTS:,} of {events:,} events", file=sys.stderr)  # noqa: T201 - progress
    engine.close()
    owner = create_engine(plant.url)
    while seal(owner):
        pass
    owner.dispose()


def _lives(plant: PlantDatabase) -> Iterator[Sequence[Asked]]:
    """Commands of some runs; those that need each other's outcome apart."""
    runs, lots = [new_id() for _ in range(RUNS)], [new_id() for _ in range(RUNS)]

    def asked(name: str, **fields: Any) -> Asked:
        return name, {"idempotency_key": str(new_id()), "issued_by": plant.manager, **fields}

    raw = {"step_index": 1, "lot_type": "RAW", "weight_kg": "500.25"}
    advanced = [("advance_step", fields) for fields in advances(runs, STEPS, plant.manager)]
    yield [asked("start_run", run_id=str(run), flow_version_id=plant.flow_version_id) for run in runs]
    yield advanced[:RUNS]
    yield [asked("register_lot", run_id=str(run), lot_id=str(lot), **raw) for run, lot in zip(runs, lots, strict=True)]
    yield [asked("record_qc_decision", lot_id=str(lot), decision="PASS") for lot in lots]
    yield advanced[RUNS:]


def _verified(plant: PlantDatabase, watch: psycopg.Connection) -> tuple[dict[str, Any], dict[str, float]]:
    """The report, and what it took: seconds by kind of process, and MiB."""
    before, began = processor_seconds(), time.perf_counter()
    environment = os.environ | {"RUNWORKER_MIGRATION_URL": plant.url}
    command = [str(Path(sys.executable).with_name("runworker")), "verify", "--json"]
    most = dict.fromkeys(("verify MiB", "backend MiB"), 0.0)
    seconds: dict[str, float] = {}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        while process.poll() is None:
            backends = (_mib(pid, "RssAnon") for (pid,) in watch.execute(BACKENDS).fetchall())
            now = {"verify MiB": _mib(process.pid, "VmHWM"), "backend MiB": max(backends, default=0.0)}
            most = {what: max(most[what], now[what]) for what in most}
            seconds = spent_between(before, processor_seconds())
            time.sleep(LOOK_SECONDS)
        report = json.loads(process.communicate()[0])
    wall = time.perf_counter() - began
    return report, most | {"verify s": seconds["workers"], "postgres s": seconds["postgres"], "wall s": wall}


def _mib(pid: int, what: str) -> float:
    """A line of a process's status in MiB, or 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(what)), 0.0)


def _tell(report: dict[str, Any], took: dict[str, float]) -> None:
    print(report["outcome"], f"{report['rows']['audit_events']:,} events")  # noqa: T201 - a script's result
    for what, much in took.items():
        print(f"{what:12}{much:8.1f}")  # noqa: T201 - a script's result


if __name__ == "__main__":
    main()
