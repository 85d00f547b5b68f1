"""PostgreSQL clusters of two releases, and the programs that bring a database from one to the other."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

from sqlalchemy import create_engine
from tests.command_line import SCRIPT
from tests.plant import Plant
from tests.unit.documents import DOCS, blocks, section

from runworker.embedded import RunningServer, programs, start_postgres, temporary_directory
from runworker.embedded.account import Account, server_account
from runworker.embedded.directories import DataDirectory
from runworker.embedded.postgres import SERVER, SUPERUSER, WORKER_LOGIN, connect, database_url
from runworker.upkeep.seal import seal
from runworker.verification import examine

PAGE = (DOCS / "backup.md").read_text()
QUICK = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "max_connections": "30"}
"""Settings of a cluster that the doctor has nothing to say about, and that was made without waiting for the disk."""

WHEEL = programs.find_program(
    programs.POSTGRES, Account("tests", os.geteuid(), os.getegid(), differs=False), Path()
).parent
"""Programs of the embedded release, as this user runs them."""


def release(folder: Path) -> int:
    """The major release of the server in a folder of programs."""
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[2].partition(".")[0])


def other_release() -> Path | None:
    """Programs of an older major release than the embedded one, the newest that this machine has."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    older = {release(folder): folder for folder in found if 15 <= release(folder) < release(WHEEL)}
    return older[max(older)] if older else None


class Cluster:
    """A running PostgreSQL with the database of a plant."""

    def __init__(self, directory: Path, server: RunningServer) -> None:
        self.directory = directory
        self.server = server

    @property
    def owner(self) -> str:
        """SQLAlchemy's URL as superuser."""
        return database_url(self.directory, SUPERUSER, self.server.port)

    @property
    def worker(self) -> str:
        """SQLAlchemy's URL as the workers' login."""
        return database_url(self.directory, WORKER_LOGIN, self.server.port)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement as superuser, in a transaction of its own."""
        with connect(self.owner) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description is not None else []


@contextmanager
def running(directory: Path, folder: Path | None = None, **settings: str) -> Iterator[Cluster]:
    """The cluster in a directory, made where none is. folder: of another release's programs."""
    program = folder / "postgres" if folder else None
    with mock.patch.object(programs, "find_program", return_value=program) if program else nullcontext():
        server = start_postgres(directory, durable=False, settings=QUICK | settings)
    try:
        yield Cluster(directory, server)
    finally:
        server.stop()


@contextmanager
def new_cluster(like: Cluster) -> Iterator[Cluster]:
    """A cluster of the embedded release with an empty database, without roles, and with the passwords of another."""
    with temporary_directory() as directory:
        shutil.copy(DataDirectory(like.directory).passwords(SERVER), DataDirectory(directory).passwords(SERVER))
        with running(directory) as cluster:
            yield cluster


def owned(path: Path) -> None:
    """Give a folder and all in it to the account of the servers."""
    account = server_account()
    for each in (path, *path.rglob("*")):
        account.own(each)


def conninfo(url: str) -> str:
    """A URL as PostgreSQL's programs take it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


class Operator:
    """Somebody who does what docs/backup.md says, in a folder, with the programs of the newer release."""

    def __init__(self, folder: Path, old: str, new: str, **settings: str) -> None:
        self.folder = folder
        own = {"OLD": conninfo(old), "NEW": conninfo(new)}
        paths = {"PATH": f"{WHEEL}:{SCRIPT.parent}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C"}
        runworkers = {f"RUNWORKER_{name.upper()}": value for name, value in settings.items()}
        self.environment: Mapping[str, str] = {**own, **paths, "RUNWORKER_DATA_DIR": str(folder), **runworkers}

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """One line in a shell."""
        return subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def ok(self, line: str) -> str:
        """One line, which has to succeed. Returns stdout."""
        done = self.run(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def follow(self, heading: str, block: int = 0) -> None:
        """Run a block of a section of the page, each line of which has to succeed."""
        for line in lines(heading, block):
            self.ok(line)


def lines(heading: str, block: int = 0) -> list[str]:
    """The commands in a block of a section of the page."""
    return [line.removeprefix("$ ") for line in blocks(section(PAGE, heading), "console")[block].splitlines()]


@contextmanager
def plant_on(cluster: Cluster) -> Iterator[Plant]:
    """The cluster's database as a plant, whose engines log in as workers do."""
    plant = Plant(cluster.owner)
    try:
        yield plant
    finally:
        plant.close()


def work(cluster: Cluster) -> tuple[UUID, str]:
    """Have a run begun and finished, and all that is there sealed. Returns its key, and the head of the seals."""
    with plant_on(cluster) as plant:
        run = uuid4()
        life = plant.life(run)
        verdicts = plant.engine(database_url=cluster.worker).apply(life)
        assert {verdict.status for verdict in verdicts} == {"APPLIED"}
    return life[0].idempotency_key, head_of(cluster)


def head_of(cluster: Cluster) -> str:
    """Seal all that is there, and return the hash of the last seal."""
    database = create_engine(cluster.owner)
    while seal(database):
        pass
    database.dispose()
    return str(cluster.sql("SELECT encode(sha256, 'hex') FROM audit_seals ORDER BY id DESC LIMIT 1")[0][0])


def assert_goes_on(cluster: Cluster, known: UUID, head: str) -> None:
    """A worker has what it knew, decides something new, and what came out is intact and has the head in its chain."""
    with plant_on(cluster) as plant:
        assert plant.ledger(known).status == "APPLIED"
    work(cluster)
    database = create_engine(cluster.owner)
    report = examine(database, head=head)
    database.dispose()
    assert (report.outcome, list(map(str, report.discrepancies)), report.not_looked_at) == ("intact", [], [])
    assert report.head
    assert report.head.seals_since >= 1
