"""`runworker migrate`."""

from dataclasses import asdict
from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import confirm, show, tell


def migrate(  # noqa: PLR0917 - an option each
    revision: Annotated[str | None, typer.Argument(help="Revision to go up to; head unless given.")] = None,
    down: Annotated[str | None, typer.Option(metavar="REVISION", help="Go down to this revision, or to base.")] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="With --down: lose what the older tables have no place for, unasked.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Tell what would stop or bend the migration, and what to do. Changes nothing."),
    ] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL that would be run on this database as it is. Changes nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with --check.")] = False,
) -> None:
    """Bring the database to the tables and rights of this release, or to another revision.

    At this release's revision, roles and rights are given back where a restore has lost them. Down, what would be lost
    is told and asked first. As the owner: RUNWORKER_MIGRATION_URL, else RUNWORKER_DATABASE_URL, else the running
    embedded servers.

    What would stop a revision is told before the first change, and nothing is changed. With --check, exit code 1 where
    something stops the migration, 0 where nothing does.
    """
    if (revision is not None and down is not None) or check + sql + (down is not None) > 1:
        raise typer.BadParameter("give a revision to go up to, or --down, --check or --sql; --check and --sql go up")
    if discard and down is None:
        raise typer.BadParameter("--discard is for --down: nothing is lost on the way up")
    if as_json and not check:
        raise typer.BadParameter("--json goes with --check")
    servers, migrations = on_demand.servers, on_demand.migrations
    given = on_demand.opening.read_settings()
    settings = servers.resolved(given)
    url = servers.owner_url(settings)
    if check:
        _check(url, revision or "head", as_json=as_json)
        return
    if sql:
        migrations.print_sql(url, revision or "head")
        return
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


def _check(url: str, target: str, *, as_json: bool) -> None:
    with on_demand.migrations.connected(url) as connection:
        found = on_demand.migration_check.look(connection, target)
    rows = sorted((asdict(each) for each in found), key=lambda row: row["severity"] == "stops")
    if as_json:
        show({"findings": rows}, as_json=True)
    elif rows:
        on_demand.output.show_findings([row | {"name": row["object"], "seen": row["what"]} for row in rows])
    else:
        show({"findings": "none"}, as_json=False)
    if any(row["severity"] == "stops" for row in rows):
        raise typer.Exit(1)
