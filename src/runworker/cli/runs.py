"""`runworker runs`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from runworker.batch_records import read_run_record, record_page
from runworker.canonical import CANONICAL_STEPS
from runworker.cli.opening import find_servers, owner_database
from runworker.cli.output import print_wide, write_file
from runworker.cli.reporting import show, tell
from runworker.logs import printable
from runworker.tracing import MassBalance, balance_of_run, find_run

COLUMNS = ("step", "lots", "used_kg", "made_kg", "gained_kg", "lost_kg", "rejected_kg", "left_kg")

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
    with owner_database(find_servers()) as database:
        found = read_run_record(database, run, verify=verify)
    write_file(html, record_page(found))
    tell(f"wrote the record of {found.code}: {html}")


@app.command()
def balance(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what went into a run, what came out, what is left, and that nothing is missing; kilograms."""
    with owner_database(find_servers()) as database, database.connect() as connection:
        found = balance_of_run(connection, find_run(connection, run))
    facts = balance_facts(found)
    if as_json:
        show(facts, as_json=True)
        return
    show({name: value for name, value in facts.items() if isinstance(value, str)}, as_json=False)
    table = Table(*COLUMNS, box=box.SIMPLE_HEAD)
    for step in facts["steps"]:
        table.add_row(_step_name(step["step_index"]), *(str(step[name]) for name in COLUMNS[1:]))
    print_wide(table)
    for left in facts["left_on"]:
        print_wide(Text(f"{left['left_kg']} kg left of {printable(left['lot'])}"))
    if found.unweighed:
        tell(f"{len(found.unweighed)} lots were never weighed and count as 0 kg: {', '.join(found.unweighed)}")


def balance_facts(found: MassBalance) -> dict[str, Any]:
    """A balance as JSON types: kilograms as text, so that no digit is lost."""
    figures = {name: str(value) for name, value in asdict(found).items() if name.endswith("_kg")}
    steps = [
        {name: str(value) if name.endswith("_kg") else value for name, value in asdict(step).items()}
        for step in found.steps
    ]
    left = [{"lot": code, "left_kg": str(kilograms)} for code, kilograms in found.left_on]
    return {
        **figures,
        "error_kg": str(found.error_kg),
        "steps": steps,
        "left_on": left,
        "unweighed": list(found.unweighed),
    }


def _step_name(index: int | None) -> str:
    return "none" if index is None else f"{index} {CANONICAL_STEPS[index].name}"
