"""`runworker health`."""

from typing import Annotated

import typer

from runworker.cli import on_demand


def health(
    worker: Annotated[
        str | None, typer.Option(metavar="NAME@HOST", help="The worker to ask; celery@ this host unless given.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for its answer.")] = 5.0,
) -> None:
    """Have one worker answer a message: it takes messages, and PostgreSQL and the broker answer it.

    A process that is alive and takes nothing is not healthy, and says why. Exit code 0 or 1.
    """
    answered = on_demand.health_check.ask(on_demand.opening.find_servers(), worker, timeout)
    typer.echo(f"{answered.worker} answered after {answered.seconds:.2f} s")
