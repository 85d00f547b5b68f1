"""Data directories in which PostgreSQL has been started before: copies of one, as making it is most of a start."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runworker.embedded import grant_worker_role, start_postgres, temporary_directory
from runworker.embedded.postgres import SUPERUSER, database_url


@contextmanager
def copy_of(directory: Path) -> Iterator[Path]:
    """The same directory once more. No server runs in either."""
    with temporary_directory() as copy:
        subprocess.run(["cp", "--archive", f"{directory}/.", copy], check=True)
        yield copy


@pytest.fixture(scope="session")
def first_cluster() -> Iterator[Path]:
    """A data directory with a cluster, the login of the worker and an empty database."""
    with temporary_directory() as directory:
        start_postgres(directory, durable=False).stop()
        yield directory


@pytest.fixture(scope="session")
def first_migrated_cluster(first_cluster: Path) -> Iterator[Path]:
    """A data directory whose database has been migrated to head."""
    from runworker.migrations import upgrade  # noqa: PLC0415 - tests of the servers alone do without migrations

    with copy_of(first_cluster) as directory:
        server = start_postgres(directory, durable=False)
        try:
            owner = database_url(directory, SUPERUSER, server.port)
            upgrade(owner)
            grant_worker_role(owner)
        finally:
            server.stop()
        yield directory


@pytest.fixture
def used_directory(first_cluster: Path) -> Iterator[Path]:
    """A data directory of the test's own in which PostgreSQL has been started before."""
    with copy_of(first_cluster) as directory:
        yield directory


@pytest.fixture
def migrated_directory(first_migrated_cluster: Path) -> Iterator[Path]:
    """A data directory of the test's own whose database has been migrated to head."""
    with copy_of(first_migrated_cluster) as directory:
        yield directory
