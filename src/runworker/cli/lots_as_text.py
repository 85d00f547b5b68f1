"""Traces and recalls as trees in a terminal."""

from typing import Final
from uuid import UUID

from rich.text import Text
from rich.tree import Tree

from runworker.cli.output import print_wide
from runworker.safe_text import printable
from runworker.states import LotStatus
from runworker.tracing import Direction, Recall, Trace, TracedLink, TracedLot
from runworker.tracing.recall import to_do

STYLES: Final = {LotStatus.HOLD: "yellow", LotStatus.REJECTED: "red", LotStatus.QUARANTINE: "cyan"}


def show_trace(found: Trace) -> None:
    """Write a trace to stdout as trees, one for each direction that was asked for."""
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


def show_recall(found: Recall) -> None:
    """Write a recall to stdout: which shipments and lots contain the lot, and what is in them."""
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
