"""Servers that a test may stop, kill and start again, with a crew on them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from tests.crew import Crew
from tests.plant import LONG, Plant

from runworker.embedded import RunningServer, start_postgres, start_valkey
from runworker.embedded.postgres import SUPERUSER, WORKER_LOGIN, database_url
from runworker.embedded.valkey import broker_url


def start_careful_valkey(directory: Path, port: int | None = None) -> RunningServer:
    """A Valkey that has on disk what it has accepted.

    As it is otherwise, a busy disk makes it a second or two late, and a crash then loses what no test could know of.
    """
    server = start_valkey(directory, durable=True, port=port)
    with Redis.from_url(broker_url(directory, server.port)) as redis:
        redis.config_set("appendfsync", "always")
    return server


class Site:
    """PostgreSQL and Valkey of the test's own, each on one port for as long as it lives, and a crew.

    directory: with a migrated database.
    """

    def __init__(self, directory: Path, log: Path) -> None:
        self._directory = directory
        self.postgres = start_postgres(directory, durable=True)
        self.valkey = start_careful_valkey(directory)
        owner = database_url(directory, SUPERUSER, self.postgres.port)
        self.plant = Plant(owner)
        settings = self.plant.settings(
            database_url=database_url(directory, WORKER_LOGIN, self.postgres.port),
            broker_url=broker_url(directory, self.valkey.port),
            sweep_seconds=0.1,
            lock_timeout_seconds=LONG,
            retry_seconds=1,
            log_level="WARNING",
        )
        self.crew = Crew(self.plant, settings, log)

    def start_postgres(self, *, standby: bool = False) -> None:
        """Start PostgreSQL again, where it was; as a standby it takes no writes until it is promoted."""
        if standby:
            (self._directory / "postgres" / "standby.signal").touch()
        self.postgres = start_postgres(self._directory, durable=True, port=self.postgres.port)

    def start_valkey(self) -> None:
        """Start Valkey again, where it was, with what it had."""
        self.valkey = start_careful_valkey(self._directory, self.valkey.port)

    def close(self) -> None:
        """End everything."""
        self.crew.close()
        self.plant.close()
        self.valkey.stop()
        self.postgres.stop()


def crash(server: RunningServer) -> None:
    """End a server with no time to tidy up."""
    # PostgreSQL's own way to do so: killed alone, its postmaster would leave processes behind that bar the next start.
    os.kill(server.pid, signal.SIGQUIT if server.name == "PostgreSQL" else signal.SIGKILL)
    server.wait()


@pytest.fixture
def site(migrated_directory: Path, tmp_path: Path) -> Iterator[Site]:
    """Servers and a crew in which nobody works yet."""
    site = Site(migrated_directory, tmp_path / "workers.log")
    try:
        yield site
    finally:
        site.close()
