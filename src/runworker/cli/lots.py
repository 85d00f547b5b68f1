"""`runworker lots`."""

from pathlib import Path
from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show

app = typer.Typer(no_args_is_help=True, help="Lots: what they were made of, where they went, and recalls.")

LotCode = Annotated[str, typer.Argument(metavar="CODE", help="The lot's code, as RAW-20260125-DUNA-0001.")]


@app.command("trace")
def trace_(
    *,
    code: LotCode,
    back: Annotated[bool, typer.Option("--back", help="Only what the lot was made of.")] = False,
    forward: Annotated[bool, typer.Option("--forward", help="Only what was made of the lot.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Both ways; so it is unless one is asked for.")] = False,
    depth: Annotated[int | None, typer.Option(min=1, max=1000, help="Follow at most so many links each way.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a lot was made of and what was made of it, with kilograms and states."""
    tracing = on_demand.tracing
    direction = tracing.Direction.BOTH
    if back != forward and not both:
        direction = tracing.Direction.BACK if back else tracing.Direction.FORWARD
    with on_demand.database.owner_connection() as connection:
        found = tracing.trace(connection, code, direction, depth)
    if as_json:
        show(on_demand.lots_as_json.trace_facts(found), as_json=True)
    else:
        on_demand.lots_as_text.show_trace(found)


@app.command("recall")
def recall_(
    code: LotCode,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to print.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a table for a spreadsheet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every shipment and lot that contains a lot, and every supplier's lot in them."""
    with on_demand.database.owner_connection() as connection:
        found = on_demand.tracing.recall(connection, code)
    if html is not None:
        on_demand.output.write_file(html, on_demand.batch_records.recall_page(found))
    if csv is not None:
        on_demand.output.write_file(csv, on_demand.batch_records.recall_csv(found))
    if as_json:
        show(on_demand.lots_as_json.recall_facts(found), as_json=True)
    elif html is None and csv is None:
        on_demand.lots_as_text.show_recall(found)
