"""Servers and a template database that all mutants share: each by itself would start and migrate its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.servers import READY_TEMPLATE, administered, migrated_template

from runworker.embedded import EmbeddedServers, temporary_directory

ROOT: Final = Path(__file__).parents[2]


@contextmanager
def shared_servers() -> Iterator[dict[str, str]]:
    """An environment in which tests find servers and a template database ready."""
    with (
        temporary_directory() as directory,
        EmbeddedServers(directory, durable=False) as embedded,
        administered(embedded.urls, durable=False) as servers,
        migrated_template(servers) as template,
    ):
        yield os.environ | {
            "RUNWORKER_DATABASE_URL": servers.admin_database_url,
            "RUNWORKER_BROKER_URL": servers.broker_url,
            READY_TEMPLATE: template,
        }
