"""The recall of a lot: a page to print, and a table for a spreadsheet."""

import csv
import io
from collections.abc import Iterable
from typing import Final

from runworker.batch_records.markup import Content, Html, definitions, page, table, tag
from runworker.batch_records.pieces import code, meanings, section, state, time
from runworker.batch_records.words import LOT_STATES, LOT_TYPES, step_name
from runworker.tracing import Containing, Recall, TracedLot
from runworker.tracing.recall import to_do

HEADINGS: Final = {
    Containing.SHIPMENT: ("Shipments", "What left, or is about to. Call the customer; stop what is still here."),
    Containing.FINISHED_GOODS: ("Finished goods and pallets", "Packed goods, and the pallets they stand on."),
    Containing.IN_PROCESS: ("Lots in process", "Material on its way to finished goods, the recalled lot included."),
}
COLUMNS: Final = (
    "part", "lot", "type", "state", "weight_kg", "taken_kg", "left_kg", "step", "run", "supplier_code", "supplier_name",
    "registered_at", "to_do",
)  # fmt: skip


def recall_page(found: Recall) -> Html:
    """One A4 page or a few: what to stop, where it is, whom to call."""
    lot = found.root
    shipped = found.containing[Containing.SHIPMENT]
    facts = (
        ("Recalled lot", code(lot.code)),
        ("Kind", LOT_TYPES[lot.lot_type] if lot.lot_type else "unknown"),
        ("State", state(lot.status)),
        ("Weight", f"{lot.weight_kg} kg" if lot.weight_kg is not None else "never weighed"),
        ("Run", lot.run_code),
        ("Supplier", f"{lot.supplier_name} ({lot.supplier_code})" if lot.supplier_code else None),
        ("Shipments with it", f"{len(shipped)}, {sum(each.weight_kg or 0 for each in shipped)} kg"),
        ("Other lots with it", str(sum(map(len, found.containing.values())) - len(shipped))),
        ("Suppliers to call", str(len(found.suppliers))),
    )
    every = [each for lots in (*found.containing.values(), found.sources, found.companions) for each in lots]
    return page(
        f"Recall {lot.code}",
        tag("h1", f"Recall of lot {lot.code}"),
        tag("p", "Every lot that has material of this one in it, and every supplier's lot in those.", class_="lead"),
        definitions(facts),
        *(_containing(found, kind) for kind in Containing),
        _suppliers(found),
        meanings(LOT_STATES, (each.status for each in every)),
    )


def _containing(found: Recall, kind: Containing) -> Html:
    heading, explanation = HEADINGS[kind]
    rows = [
        (
            "☐",
            tag("strong", to_do(lot)),
            code(lot.code),
            state(lot.status),
            _kg(lot),
            str(lot.left_kg),
            step_name(lot.step_index),
            code(lot.run_code),
            _particulars(lot),
        )
        # What needs somebody's hands stands first.
        for lot in sorted(found.containing[kind], key=lambda lot: lot.left_kg <= 0)
    ]
    columns = ("Done", "What to do", "Lot", "State", "Weight kg", "Left kg", "Made at step", "Run", "Particulars")
    return section(
        f"{heading} ({len(rows)})", explanation, table(columns, rows, caption="Tick what is done", empty="None.")
    )


def _suppliers(found: Recall) -> Html:
    own = {lot.supplier_code for lot in found.sources}
    rows: list[tuple[Content, ...]] = []
    for supplier, name in found.suppliers:
        lots = [lot for lot in (*found.sources, *found.companions) if lot.supplier_code == supplier]
        why = "supplied the recalled lot's material" if supplier in own else "only mixed with it later"
        rows.append(("☐", name, supplier, why, ", ".join(lot.code for lot in lots)))
    return section(
        f"Suppliers to call ({len(rows)})",
        "First those whose material the recalled lot was made of; a fault found there concerns their other lots too.",
        table(("Done", "Supplier", "Code", "Why", "Lots"), rows, caption="Tick who was called", empty="None is known."),
        table(
            ("Lot", "In it", "State", "Weight kg", "Supplier", "Received", "Run"),
            [
                (
                    code(lot.code),
                    "part of the recalled lot" if lot in found.sources else "mixed with it later",
                    state(lot.status),
                    _kg(lot),
                    lot.supplier_name or "not recorded",
                    time(lot.created_at),
                    code(lot.run_code),
                )
                for lot in (*found.sources, *found.companions)
            ],
            caption="Raw material in all lots above",
            empty="No raw material is recorded.",
        ),
    )


def recall_csv(found: Recall) -> str:
    """A line a lot, with a byte order mark so that spreadsheets read the names right."""
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(COLUMNS)
    for part, lots in found.containing.items():
        lines.writerows(_line(part, lot, to_do(lot)) for lot in lots)
    lines.writerows(_line("supplied: in it", lot, "Call the supplier") for lot in found.sources)
    lines.writerows(_line("supplied: mixed with it", lot, "Call the supplier") for lot in found.companions)
    return "\ufeff" + written.getvalue()


def _line(part: str, lot: TracedLot, what: str) -> Iterable[str]:
    cells = (
        part, lot.code, lot.lot_type, lot.status, lot.weight_kg, lot.taken_kg, lot.left_kg, lot.step_index,
        lot.run_code, lot.supplier_code, lot.supplier_name, f"{lot.created_at:%Y-%m-%dT%H:%M:%SZ}", what,
    )  # fmt: skip
    return [_cell("" if cell is None else str(cell)) for cell in cells]


def _cell(text: str) -> str:
    """Text that a spreadsheet takes for text: one that begins like a formula would be run."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _kg(lot: TracedLot) -> str:
    return "never weighed" if lot.weight_kg is None else str(lot.weight_kg)


def _particulars(lot: TracedLot) -> str | None:
    """What was noted of a lot when it was registered: a shipment's customer or vehicle, as the plant writes it."""
    return ", ".join(f"{name}: {value}" for name, value in sorted(lot.metadata.items())) or None
