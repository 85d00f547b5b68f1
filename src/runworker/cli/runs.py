"""`runworker runs`."""

from pathlib import Path
from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show, tell

app = typer.Typer(no_args_is_help=True, help="Production runs: their records and their kilograms.")

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's code, as RUN-20260125-DUNA-0001, or its id.")]


@app.command()
def record(
    run: Run,
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="Where to write the page.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Recompute all seals of the audit trail, as `runworker verify` does.")
    ] = False,
) -> None:
    """Write the batch record: all that is known of a run, on one page that needs nothing else and can be printed."""
    with on_demand.database.owner_database(on_demand.opening.find_servers()) as database:
        found = on_demand.batch_records.read_run_record(database, run, verify=verify)
    on_demand.output.write_file(html, on_demand.batch_records.record_page(found))
    tell(f"wrote the record of {found.code}: {html}")


@app.command()
def balance(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what went into a run, what came out, what is left, and that nothing is missing; kilograms."""
    tracing = on_demand.tracing
    with on_demand.database.owner_connection() as connection:
        found = tracing.balance_of_run(connection, tracing.find_run(connection, run))
    if as_json:
        show(on_demand.balances.balance_facts(found), as_json=True)
    else:
        on_demand.balances.show_balance(found)
