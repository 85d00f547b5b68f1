"""Finds the servers that run in a directory.

Most processes find none, as settings name theirs or nobody has started any: a look at one file tells so, and the
clients of PostgreSQL and Valkey are imported only where there is somebody to ask.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runworker.embedded.directories import DataDirectory, default_directory, storage_errors


@dataclass(frozen=True)
class ServerUrls:
    """Where the servers are. The URLs carry passwords and stay out of repr.

    admin_database_url: as superuser, for migrations. database_url: as the worker's login, which owns nothing.
    """

    admin_database_url: str = field(repr=False)
    database_url: str = field(repr=False)
    broker_url: str = field(repr=False)


def find_running(directory: Path | None = None) -> ServerUrls | None:
    """The servers that run in directory (the user's own by default), or None.

    Servers that are about to answer or to end are waited for. Raises ServerError when they do neither.
    """
    home = DataDirectory((directory or default_directory()).absolute())
    with storage_errors(home.path):
        if read_record(home.record) is None:
            return None
    from runworker.embedded.answering import answering  # noqa: PLC0415 - the module's docstring says why

    return answering(home)


def read_record(record: Path) -> dict[str, Any] | None:
    """What is recorded of running servers, None where nothing is."""
    try:
        found: dict[str, Any] = json.loads(record.read_text("utf-8"))
    except FileNotFoundError:
        return None
    return found
