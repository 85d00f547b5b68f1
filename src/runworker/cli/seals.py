"""`runworker seals`."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from runworker.cli import on_demand
from runworker.cli.moments import moment
from runworker.cli.reporting import show, tell

STATEMENT_SECONDS: Final = 3600
"""A statement looks through a month's seals at most, and at a first archive there may be years of them."""

app = typer.Typer(no_args_is_help=True, help="Seals of the audit trail, and archives of what they cover.")


@app.command()
def anchor(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Add the line to this file; without one, to stdout.")
    ] = None,
) -> None:
    """Write down the end of the chain of seals, one line of JSON; `runworker verify --anchor FILE` asks for it.

    Keep the line where nobody who can change the database can change it: a git repository, a timestamping service. Exit
    code 1: there is no seal yet.
    """
    with on_demand.database.owner_connection() as connection:
        found = on_demand.verification.anchor_of(connection)
    if found is None:
        tell("there is no seal yet: a worker makes one over what is settled, every few seconds")
        raise typer.Exit(1)
    if file is None:
        typer.echo(found.as_line())
        return
    on_demand.output.add_line(file, found.as_line())
    tell(f"added seal {found.seal_id} to {file}")


@app.command()
def archive(
    directory: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the files go: `audit-2026-01.jsonl.gz`, one a month.")
    ],
    before: Annotated[
        datetime,
        typer.Option("--before", parser=moment, metavar="DATE", help="Archive months that ended before it, in UTC."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, an object a month.")] = False,
) -> None:
    """Move whole months of audit events to files, each proved by its seals; the last event of each row stays.

    `runworker verify --archives FOLDER` looks at the whole history again. Run it again when it was cut off.
    """
    if before > datetime.now(UTC):
        raise typer.BadParameter(f"--before {before:%Y-%m-%d} is not over; expected a date that is past")
    with (
        on_demand.database.owner_database(
            on_demand.opening.find_servers(), statement_seconds=STATEMENT_SECONDS
        ) as database,
        on_demand.progress.Progress(bars=True) as progress,
    ):
        months = []
        for month in on_demand.audit_archives.archive_months(database, directory, before, progress.show):
            progress.say(f"{month.file} has {month.events} events; {month.forgotten} left the table")
            months.append(asdict(month))
    if as_json:
        show(months, as_json=True)
    else:
        on_demand.output.show_table(months, ("month", "file", "seals", "events", "forgotten", "sha256"))
    if not months:
        tell(f"no month that ended before {before:%Y-%m-%d} is left to be archived")
