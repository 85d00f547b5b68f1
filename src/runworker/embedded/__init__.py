"""Real PostgreSQL and Valkey servers from the `embedded` extra's wheels, for `up`, `demo` and the tests.

Importing this needs no extra; starting does. Linux only: the kernel is what ends the servers with their parent.
Its names are imported when they are first used: every worker asks whether servers run, and few start any.
"""

from typing import TYPE_CHECKING, Final

from runworker.lazy_names import lazy_names

HOMES: Final = {
    "EmbeddedServers": "runworker.embedded.servers:EmbeddedServers",
    "RunningServer": "runworker.embedded.process:RunningServer",
    "ServerUrls": "runworker.embedded.finding:ServerUrls",
    "default_directory": "runworker.embedded.directories:default_directory",
    "end_of": "runworker.embedded.process:end_of",
    "find_running": "runworker.embedded.finding:find_running",
    "grant_worker_role": "runworker.embedded.postgres:grant_worker_role",
    "start_postgres": "runworker.embedded.postgres:start_postgres",
    "start_valkey": "runworker.embedded.valkey:start_valkey",
    "temporary_directory": "runworker.embedded.directories:temporary_directory",
}

if TYPE_CHECKING:
    from runworker.embedded.directories import default_directory, temporary_directory
    from runworker.embedded.finding import ServerUrls, find_running
    from runworker.embedded.postgres import grant_worker_role, start_postgres
    from runworker.embedded.process import RunningServer, end_of
    from runworker.embedded.servers import EmbeddedServers
    from runworker.embedded.valkey import start_valkey
else:
    __getattr__ = lazy_names(__name__, HOMES)

__all__ = [
    "EmbeddedServers",
    "RunningServer",
    "ServerUrls",
    "default_directory",
    "end_of",
    "find_running",
    "grant_worker_role",
    "start_postgres",
    "start_valkey",
    "temporary_directory",
]
