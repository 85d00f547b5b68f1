"""`runworker lots`."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text
from rich.tree import Tree

from runworker.batch_records import recall_csv, recall_page
from runworker.cli.opening import find_servers, owner_database
from runworker.cli.output import print_wide, write_file
from runworker.cli.reporting import show
from runworker.logs import printable
from runworker.states import LotStatus
from runworker.tracing import Direction, Genealogy, Recall, Trace, TracedLink, TracedLot, mass_balance, recall, trace
from runworker.tracing.recall import to_do

STYLES: Final = {LotStatus.HOLD: "yellow", LotStatus.REJECTED: "red", LotStatus.QUARANTINE: "cyan"}

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
    direction = Direction.BOTH
    if back != forward and not both:
        direction = Direction.BACK if back else Direction.FORWARD
    with owner_database(find_servers()) as database, database.connect() as connection:
        found = trace(connection, code, direction, depth)
    if as_json:
        show(trace_facts(found), as_json=True)
    else:
        _show_trees(found)


@app.command("recall")
def recall_(
    code: LotCode,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page to print.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a table for a spreadsheet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every shipment and lot that contains a lot, and every supplier's lot in them."""
    with owner_database(find_servers()) as database, database.connect() as connection:
        found = recall(connection, code)
    for file, content in ((html, recall_page), (csv, recall_csv)):
        if file is not None:
            write_file(file, content(found))
    if as_json:
        show(recall_facts(found), as_json=True)
    elif html is None and csv is None:
        _show_recall(found)


def trace_facts(found: Trace) -> dict[str, Any]:
    """A trace as JSON types: kilograms as text, so that no digit is lost."""
    before, after = (walk(found.root_id) for walk in (found.genealogy.ancestors, found.genealogy.descendants))
    balance = mass_balance(found.genealogy.lots.values(), found.genealogy.links)
    return {
        "lot": found.root.code,
        "direction": found.direction,
        "depth": found.depth,
        "lots": [
            {**lot_facts(lot), "level_back": before.get(lot_id), "level_forward": after.get(lot_id)}
            for lot_id, lot in found.genealogy.lots.items()
        ],
        "links": _link_facts(found.genealogy),
        "balance": {"in_kg": str(balance.in_kg), "out_kg": str(balance.out_kg), "error_kg": str(balance.error_kg)},
    }


def recall_facts(found: Recall) -> dict[str, Any]:
    """A recall as JSON types."""
    lots = {
        kind.replace(" ", "_"): [{**lot_facts(lot), "to_do": to_do(lot)} for lot in containing]
        for kind, containing in found.containing.items()
    }
    return {
        "lot": found.root.code,
        **lots,
        "supplier_lots": [
            {**lot_facts(lot), "in_the_lot_itself": own}
            for own, supplied in ((True, found.sources), (False, found.companions))
            for lot in supplied
        ],
        "suppliers": [{"code": code, "name": name} for code, name in found.suppliers],
        "links": _link_facts(found.genealogy),
    }


def lot_facts(lot: TracedLot) -> dict[str, Any]:
    """A lot as JSON types."""
    return {
        "lot": lot.code,
        "lot_id": str(lot.id),
        "lot_type": lot.lot_type,
        "state": lot.status,
        "status_reason": lot.status_reason,
        "step_index": lot.step_index,
        "sku_type": lot.sku_type,
        "weight_kg": _kg(lot.weight_kg),
        "taken_kg": _kg(lot.taken_kg),
        "left_kg": _kg(lot.left_kg),
        "run": lot.run_code,
        "supplier": lot.supplier_code,
        "supplier_name": lot.supplier_name,
        "created_at": lot.created_at,
    }


def _link_facts(genealogy: Genealogy) -> list[dict[str, Any]]:
    return [
        {
            "parent": genealogy.lots[link.parent_id].code,
            "child": genealogy.lots[link.child_id].code,
            "quantity_kg": _kg(link.quantity_kg),
        }
        for link in genealogy.links
    ]


def _show_trees(found: Trace) -> None:
    parents, children = found.genealogy.parents, found.genealogy.children
    if found.direction is not Direction.FORWARD:
        print_wide(Text("Made of", style="bold"))
        print_wide(
            _tree(found, {lot_id: [(link.parent_id, link) for link in links] for lot_id, links in parents.items()})
        )
    if found.direction is not Direction.BACK:
        print_wide(Text("Went into", style="bold"))
        print_wide(
            _tree(found, {lot_id: [(link.child_id, link) for link in links] for lot_id, links in children.items()})
        )


def _tree(found: Trace, branches: dict[UUID, list[tuple[UUID, TracedLink]]]) -> Tree:
    """The lots as a tree, each in full where it stands first from above and by its code from then on."""
    lots = found.genealogy.lots
    root = Tree(_described(found.root))
    shown = {found.root_id}
    # By hand and not by recursion: a chain of legacy lots may be longer than Python's stack.
    ahead: list[tuple[Tree, UUID, TracedLink]] = [
        (root, *branch) for branch in reversed(branches.get(found.root_id, ()))
    ]
    while ahead:
        trunk, lot_id, link = ahead.pop()
        quantity = f"{link.quantity_kg} kg" if link.quantity_kg is not None else "? kg"
        if lot_id in shown:
            trunk.add(Text(f"{quantity}: {printable(lots[lot_id].code)}, shown above", style="dim"))
            continue
        shown.add(lot_id)
        here = trunk.add(Text.assemble(f"{quantity}: ", _described(lots[lot_id])))
        ahead += [(here, *branch) for branch in reversed(branches.get(lot_id, ()))]
    return root


def _described(lot: TracedLot) -> Text:
    weight = f"{lot.weight_kg} kg" if lot.weight_kg is not None else "never weighed"
    return Text.assemble(
        (printable(lot.code), "bold"),
        f"  {lot.lot_type or 'type unknown'}  {weight}, {lot.taken_kg} taken, {lot.left_kg} left  ",
        (lot.status, STYLES.get(lot.status, "green")),
        f"  from {printable(lot.supplier_name or lot.supplier_code or '')}" if lot.supplier_code else "",
    )


def _show_recall(found: Recall) -> None:
    for kind, lots in found.containing.items():
        branch = Tree(Text(f"{kind.capitalize()}: {len(lots)}", style="bold"))
        for lot in lots:
            run = f"  {printable(lot.run_code)}" if lot.run_code else ""
            branch.add(Text.assemble(_described(lot), f"{run}  ", (to_do(lot), "bold")))
        print_wide(branch)
    for what, lots in (("In it", found.sources), ("Only mixed with it", found.companions)):
        branch = Tree(Text(f"{what}, from suppliers: {len(lots)}", style="bold"))
        for lot in lots:
            branch.add(_described(lot))
        print_wide(branch)


def _kg(kilograms: Decimal | None) -> str | None:
    return None if kilograms is None else str(kilograms)
