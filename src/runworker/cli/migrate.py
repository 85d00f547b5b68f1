"""`runworker migrate`."""

from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show


def migrate(
    revision: Annotated[str | None, typer.Argument(help="Revision to go up to; head unless given.")] = None,
    down: Annotated[str | None, typer.Option(metavar="REVISION", help="Go down to this revision, or to base.")] = None,
) -> None:
    """Bring the database to the tables of this release, or to another revision.

    As the owner: RUNWORKER_MIGRATION_URL, else RUNWORKER_DATABASE_URL, else the running embedded servers.
    """
    if revision is not None and down is not None:
        raise typer.BadParameter("give a revision to go up to, or --down, not both")
    servers, migrations = on_demand.servers, on_demand.migrations
    given = on_demand.opening.read_settings()
    settings = servers.resolved(given)
    url = servers.owner_url(settings)
    if down is not None:
        migrations.downgrade(url, down)
    else:
        on_demand.provisioning.migrate(settings, embedded=servers.lacks_database(given), revision=revision or "head")
    show({"revision": migrations.current(url) or "base"}, as_json=False)
