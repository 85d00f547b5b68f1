"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.clusters import first_cluster, first_migrated_cluster, migrated_directory, used_directory
from tests.crew import crew, shared_crew
from tests.environment import no_settings
from tests.fork_server import forked_workers
from tests.plant import engine, plant
from tests.servers import (
    broker_url,
    database_url,
    empty_database_url,
    servers,
    template_database,
    worker_database_url,
    worker_login,
)

__all__ = [
    "broker_url",
    "crew",
    "database_url",
    "empty_database_url",
    "engine",
    "first_cluster",
    "first_migrated_cluster",
    "forked_workers",
    "migrated_directory",
    "no_settings",
    "plant",
    "servers",
    "shared_crew",
    "template_database",
    "used_directory",
    "worker_database_url",
    "worker_login",
]


# A machine that is busy with other tests is no fault of a strategy.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes share the tests: two more than cores, but none for a single file, as it stays in one.

    Many tests wait for what a server does: a shutdown, a restart, a lease that lapses.

    No more than leave each three of an external broker's fifteen databases.
    """
    one_file = len(config.args) == 1 and Path(config.args[0].partition("::")[0]).is_file()
    return 0 if one_file else min((os.cpu_count() or 1) + 2, 5)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded to be seen; a test cannot do so itself, as its process has no terminal."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for title, text in report.user_properties:
            terminalreporter.section(title)
            terminalreporter.write_line(str(text))
