"""`runworker up`."""

import signal
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import tell
from runworker.errors import ServerError

if TYPE_CHECKING:
    from runworker.config import Settings
    from runworker.embedded import RunningServer
    from runworker.workers import WorkerProcesses

LOOK_SECONDS: Final = 1.0
"""How often somebody looks whether the servers still run. A worker's end is noticed at once."""


def up(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 2,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print the URLs with their passwords.")] = False,
) -> None:
    """Start servers, migrate, and start workers; ctrl-C ends all of it, and so does a kill.

    Servers that RUNWORKER_DATABASE_URL and RUNWORKER_BROKER_URL name are used in place of embedded ones.
    """
    given = on_demand.opening.read_settings()
    signal.signal(signal.SIGTERM, _end)
    with (
        on_demand.provisioning.ready_servers(given) as (settings, servers),
        on_demand.workers.WorkerProcesses(settings) as running,
    ):
        running.start(workers)
        _say_where(given, settings, workers, show_secrets)
        _watch(running, servers)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """End as ctrl-C does, in good order: by an exception that passes through every block that has to clean up."""
    raise SystemExit(0)


def _watch(workers: "WorkerProcesses", servers: "Sequence[RunningServer]") -> NoReturn:
    """Wait until a worker or one of the servers started here ends by itself. Raises ServerError, which says so."""
    while True:
        worker = workers.wait(LOOK_SECONDS)
        if worker is not None:
            worker.wait(1)
            raise ServerError(
                f"the worker {worker.name} ended by itself (exit code {worker.exit_code}); so does the rest."
            )
        for server in servers:
            if server.exit_code is not None:
                raise ServerError(
                    f"{server.name} ended by itself (exit code {server.exit_code}); so does the rest."
                    + on_demand.embedded.end_of(server.log)
                )


def _say_where(given: "Settings", settings: "Settings", workers: int, show_secrets: bool) -> None:
    """Print where everything is, in URLs that psql and redis-cli take as well."""
    for name, url in (("PostgreSQL", settings.database_url), ("Redis", settings.broker_url)):
        if url is not None:
            plain = url.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)
            typer.echo(f"{name:10}  {plain if show_secrets else on_demand.urls.masked(plain)}")
    if on_demand.servers.lacks_servers(given) and not show_secrets:
        record = (given.data_dir or on_demand.embedded.default_directory()) / "servers.json"
        typer.echo(f"{'Passwords':10}  {record}, or runworker up --show-secrets")
    typer.echo(f"{'Workers':10}  {workers}, on queue {settings.queue}")
    tell("ready; ctrl-C ends all of it")
