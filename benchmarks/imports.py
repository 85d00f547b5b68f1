"""What starting costs: processor time of commands, and a worker's memory with what it is made of.

`uv run python -m benchmarks.imports`, on a machine that does nothing else. Apart from `runworker bench`, because it
needs no load: each figure is of a process that has done nothing yet.
"""

import compileall
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from runworker.config import Settings
from runworker.embedded import temporary_directory
from runworker.provisioning import ready_servers
from runworker.workers import WorkerProcesses

ROUNDS: Final = 5
STARTED: Final = {
    **{
        f"runworker {command}": ["-m", "runworker.cli", *command.split()]
        for command in ("--version", "--help", "flow --help", "demo --help", "config")
    },
    **{f"import {module}": ["-c", f"import {module}"] for module in ("runworker.client", "runworker.app")},
}
"""What is started, as a person writes it, with Python's arguments for it."""

PARTS: Final = (
    ("asyncio, ssl", ("asyncio", "ssl")),
    ("Pydantic", ("pydantic", "pydantic_settings", "pydantic.types")),
    ("Rich, which structlog imports", ("rich.traceback",)),
    ("structlog, tenacity", ("structlog", "tenacity")),
    ("psycopg", ("psycopg",)),
    ("redis", ("redis", "hiredis")),
    ("Celery, kombu", ("celery.bin.worker", "celery.apps.worker", "celery.worker.consumer", "kombu.transport.redis")),
    ("SQLAlchemy", ("sqlalchemy.orm", "sqlalchemy.dialects.postgresql.psycopg")),
    ("runworker", ("runworker.app",)),
    ("all other commands of Celery, Flower", ("celery.bin.celery",)),
)
"""A worker's imports in an order in which each part brings in nothing of a later one. The last is spared by our own
workers and not by `celery -A runworker.app worker`."""

SHOWN: Final = ("Rss", "Pss", "Private_Dirty")

_MEASURE_IMPORTS: Final = """
import importlib, sys
def resident():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
print(resident())
for modules in sys.argv[1:]:
    for module in modules.split(","):
        importlib.import_module(module)
    print(resident())
"""


def processor_seconds(arguments: list[str], environment: Mapping[str, str]) -> float:
    """User and system time of one process."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with exit code {process.returncode}")
    return used.ru_utime + used.ru_stime


def medians(environments: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, list[float]]]:
    """Each command and module, with the median of its processor seconds in each environment.

    The environments take turns, so that what else the machine does falls on all of them.
    """
    for name, arguments in STARTED.items():
        rounds = [[processor_seconds(arguments, each) for each in environments.values()] for _ in range(ROUNDS)]
        yield name, [statistics.median(taken) for taken in zip(*rounds, strict=True)]


def copies(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The package without bytecode, as in a checkout where Python may not write any, and with, as installed."""
    package = Path(__file__).resolve().parents[1] / "src" / "runworker"
    for name in ("source", "bytecode"):
        target = folder / name / "runworker"
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))
        if name == "bytecode":
            compileall.compile_dir(target, quiet=1)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RUNWORKER_")}
        own = {"PYTHONPATH": str(target.parent), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)}
        yield name, inherited | own | {"RUNWORKER_DATA_DIR": str(folder / "none")}


def memory(pid: int | str) -> dict[str, float]:
    """MiB of a process by the kernel's names: Rss, Pss, Private_Dirty and others."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): int(kilobytes) / 1024 for name, kilobytes, _ in map(str.split, lines)}


def imported() -> Iterator[tuple[str, float]]:
    """MiB that each part adds to a fresh process, after Python itself."""
    printed = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _MEASURE_IMPORTS, *(",".join(modules) for _, modules in PARTS)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    resident = [0.0, *(int(kilobytes) / 1024 for kilobytes in printed)]
    added = [after - before for before, after in itertools.pairwise(resident)]
    return zip(["Python", *(name for name, _ in PARTS)], added, strict=True)


def worker_at_ready() -> dict[str, float]:
    """Memory of a solo worker on servers of its own that takes messages and has done none."""
    with (
        temporary_directory() as directory,
        ready_servers(Settings.load(data_dir=directory)) as (settings, _),
        WorkerProcesses(settings, log=directory / "worker.log") as workers,
    ):
        workers.start()
        return memory(workers.running[0].pid)


def report() -> Iterator[str]:
    """All of it as tables in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        environments = dict(copies(Path(folder)))
        yield f"| processor seconds | {' | '.join(environments)} |\n|---|{'---|' * len(environments)}"
        for what, seconds in medians(environments):
            yield f"| `{what}` | {' | '.join(f'{each:.2f}' for each in seconds)} |"
    yield "\n| imported | MiB |\n|---|---|"
    for what, mebibytes in imported():
        yield f"| {what} | {mebibytes:.1f} |"
    ready = worker_at_ready()
    yield "\nA solo worker at ready: " + ", ".join(f"{name} {ready[name]:.1f} MiB" for name in SHOWN)


if __name__ == "__main__":
    for line in report():
        sys.stdout.write(f"{line}\n")
