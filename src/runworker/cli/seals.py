"""`runworker seals`."""

from pathlib import Path
from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import tell

app = typer.Typer(no_args_is_help=True, help="Seals of the audit trail: what to keep of them elsewhere.")


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
