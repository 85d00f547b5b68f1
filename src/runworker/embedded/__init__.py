"""Real PostgreSQL and Valkey servers from the `embedded` extra's wheels, for `up`, `demo` and the tests.

Importing this needs no extra; starting does. Linux only: the kernel is what ends the servers with their parent.
"""

from runworker.embedded.directories import default_directory, temporary_directory
from runworker.embedded.postgres import grant_worker_role, start_postgres
from runworker.embedded.process import RunningServer
from runworker.embedded.servers import EmbeddedServers, ServerUrls, find_running
from runworker.embedded.valkey import start_valkey

__all__ = [
    "EmbeddedServers",
    "RunningServer",
    "ServerUrls",
    "default_directory",
    "find_running",
    "grant_worker_role",
    "start_postgres",
    "start_valkey",
    "temporary_directory",
]
