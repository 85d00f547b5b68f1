"""What PostgreSQL writes and reads for a command, with keys in the order of time and with random ones.

    uv run python -m benchmarks.keys [--commands 600000]

Starts PostgreSQL of its own, with `shared_buffers` as they come, and makes plants with so many commands behind them. A
thousand commands right after a checkpoint, in batches of a hundred, and then a thousand more: WAL in bytes, pages
written into it as a whole, and pages that were in no buffer. Counted and not timed: a busy machine does not matter.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.history import Past, aged
from benchmarks.testbed import PlantDatabase, open_testbed
from benchmarks.workload import BATCH, Workload
from runworker.cli.progress import Progress
from runworker.commands import Command, parse
from runworker.config import Settings
from runworker.embedded import temporary_directory
from runworker.engine import Engine

MANY: Final = 1000

_COUNTED: Final = """
    SELECT wal_bytes, wal_fpi, (SELECT blks_read FROM pg_stat_database WHERE datname = current_database())
    FROM pg_stat_wal
"""


def main() -> None:
    """Count for all three pasts and print a table."""
    options = argparse.ArgumentParser(description="Count what a command writes and reads.")
    options.add_argument("--commands", type=int, default=600_000)
    commands = options.parse_args().commands
    pasts = {"empty": Past(0), "in_order": Past(commands), "random": Past(commands, in_order=False)}
    print(f"{'behind':10} {'':6} {'WAL bytes':>10} {'whole pages':>12} {'pages read':>11}   a command")  # noqa: T201
    with (
        Progress(bars=True) as display,
        temporary_directory() as directory,
        open_testbed(Settings.load(), Path(directory)) as testbed,
    ):
        template = testbed.plant("template")
        for name, past in pasts.items():
            plant = aged(testbed, template, name, past, display)
            for when, counts in zip(("first", "then"), _counted(plant, past), strict=True):
                told = "{:10.0f} {:12.2f} {:11.2f}".format(*counts)
                print(f"{name:10} {when:6} {told}", flush=True)  # noqa: T201


def _counted(plant: PlantDatabase, past: Past) -> list[list[float]]:
    workload = Workload(plant, past.make_id)
    work = [parse("advance_step", fields) for fields in workload.work(2 * MANY).commands]
    workload.close()
    with psycopg.connect(plant.conninfo, autocommit=True) as owner:
        owner.execute("CHECKPOINT")
        return [_spent(owner, plant, work[first : first + MANY]) for first in (0, MANY)]


def _spent(owner: psycopg.Connection, plant: PlantDatabase, commands: Sequence[Command]) -> list[float]:
    before = owner.execute(_COUNTED).fetchone() or ()
    engine = Engine(plant.settings)
    for first in range(0, len(commands), BATCH):
        engine.apply(commands[first : first + BATCH])
    engine.close()  # a connection that ends tells at once what it has done
    owner.execute("SELECT pg_sleep(1)")
    after = owner.execute(_COUNTED).fetchone() or ()
    return [float(now - then) / len(commands) for now, then in zip(after, before, strict=True)]


if __name__ == "__main__":
    main()
