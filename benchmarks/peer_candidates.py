"""DBOS and Procrastinate, in environments of their own, doing the same in plain SQL on tables of their own.

A command is a row under its key and an update of its run, in one transaction; there are no rules, no verdicts and no
audit trail. So they have less to do than runworker.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import make_url

from benchmarks.candidates import Missing, PreloadedCandidate
from benchmarks.children import ROOT, children
from benchmarks.testbed import Testbed
from benchmarks.workload import Work, advances, shape
from runworker.ids import new_id

INSTALL_SECONDS: Final = 60.0
PACKAGES: Final = {"dbos": "dbos>=3.4,<3.5", "procrastinate": "procrastinate>=3.10,<3.11"}

TABLES: Final = """
    CREATE TABLE IF NOT EXISTS bench_runs (id uuid PRIMARY KEY, step int NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS bench_commands (
        idempotency_key uuid PRIMARY KEY, run_id uuid NOT NULL REFERENCES bench_runs, step int NOT NULL,
        done_at timestamptz NOT NULL DEFAULT now()
    );
"""


def installed(name: str) -> Path:
    """The interpreter of the environment in which a candidate is installed; made at first, in the temporary folder.

    Raises Missing.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise Missing(f"{name} is skipped: there is no uv to install it with.")
    place = Path(tempfile.gettempdir()) / f"runworker-bench-{name}-{sys.version_info.major}{sys.version_info.minor}"
    python = place / "bin" / "python"
    commands = (
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "--quiet", "--python", str(python), PACKAGES[name], "psycopg[binary,pool]>=3.3,<4"],
    )
    for command in commands:
        try:
            # Not our project: uv is not to look at its settings, and not to wait for what cannot be reached.
            done = subprocess.run(  # noqa: S603 - uv itself, with words of ours
                command, cwd=tempfile.gettempdir(), capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise Missing(f"{name} is skipped: not installed within {INSTALL_SECONDS:.0f} s.") from None
        if done.returncode:
            raise Missing(f"{name} is skipped: it cannot be installed: {done.stderr.strip()[-300:]}")
    return python


class PeerCandidate(PreloadedCandidate):
    """Two processes of a program in peers/ that work on runs of their own.

    They are told their commands before the time is taken, as many as they are to do.
    """

    opening = 400

    def __init__(self, name: str, testbed: Testbed) -> None:
        super().__init__(name, 2)
        self._python = installed(name)
        self._url = make_url(testbed.database(name)).set(drivername="postgresql").render_as_string(hide_password=False)
        self._program = ROOT / "benchmarks" / "peers" / f"{name}_process.py"
        with self._connection() as connection:
            connection.execute(TABLES)

    @contextmanager
    def running(self, log: Path) -> Iterator[list[int]]:
        """Start processes that end with the block."""
        environments = [{"BENCH_DATABASE_URL": self._url, "BENCH_NUMBER": str(number)} for number in range(2)]
        command = [str(self._python), str(self._program)]
        with children(self.processes, command, environments, log) as self._children:
            yield [child.pid for child in self._children]

    def lay(self, commands: int) -> Work:
        """Make runs, and give each process the commands of its own."""
        runs, steps = shape(commands)
        ids = [new_id() for _ in range(runs)]
        with self._connection() as connection:
            connection.execute("INSERT INTO bench_runs (id) SELECT unnest(%s::uuid[])", [ids])
        return self.hand_out(Work(ids, steps, advances(ids, steps, issued_by="")))

    def shortcomings(self, laid: Work) -> list[str]:
        """Count what is in its tables."""
        with self._connection() as connection:
            [commands] = connection.execute(
                "SELECT count(*) FROM bench_commands WHERE run_id = ANY (%s)", [laid.runs]
            ).fetchone()
            [runs] = connection.execute(
                "SELECT count(*) FROM bench_runs WHERE id = ANY (%s) AND step = %s", [laid.runs, laid.steps]
            ).fetchone()
        wanted = {"commands": (commands, len(laid.commands)), "runs at their last step": (runs, len(laid.runs))}
        return [f"{what}: {found} and not {many}" for what, (found, many) in wanted.items() if found != many]

    def _connection(self) -> psycopg.Connection:
        return psycopg.connect(self._url, autocommit=True)
