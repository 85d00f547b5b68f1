"""`runworker migrate`."""

from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import confirm, show, tell


def migrate(
    revision: Annotated[str | None, typer.Argument(help="Revision to go up to; head unless given.")] = None,
    down: Annotated[str | None, typer.Option(metavar="REVISION", help="Go down to this revision, or to base.")] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="With --down: lose what the older tables have no place for, unasked.")
    ] = False,
) -> None:
    """Bring the database to the tables and rights of this release, or to another revision.

    At this release's revision, roles and rights are given back where a restore has lost them. Down, what would be lost
    is told and asked first. As the owner: RUNWORKER_MIGRATION_URL, else RUNWORKER_DATABASE_URL, else the running
    embedded servers.
    """
    if revision is not None and down is not None:
        raise typer.BadParameter("give a revision to go up to, or --down, not both")
    if discard and down is None:
        raise typer.BadParameter("--discard is for --down: nothing is lost on the way up")
    servers, migrations = on_demand.servers, on_demand.migrations
    given = on_demand.opening.read_settings()
    settings = servers.resolved(given)
    url = servers.owner_url(settings)
    if down is not None:
        _tell_losses(migrations.losses_down_to(url, down), down, ask=not discard)
        migrations.downgrade(url, down)
    else:
        on_demand.provisioning.migrate(settings, embedded=servers.lacks_database(given), revision=revision or "head")
    show({"revision": migrations.current(url) or "base"}, as_json=False)


def _tell_losses(lost: list[str], revision: str, *, ask: bool) -> None:
    if not lost:
        return
    tell(f"going down to {revision} does away with")
    for line in lost:
        tell(f"    {line}")
    if ask:
        confirm("Is there a backup, and may all of this go?", "--discard")
