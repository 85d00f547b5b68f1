"""Traces and recalls as JSON types: kilograms as text, so that no digit is lost."""

from decimal import Decimal
from typing import Any

from runworker.tracing import Genealogy, Recall, Trace, TracedLot, mass_balance
from runworker.tracing.recall import to_do


def trace_facts(found: Trace) -> dict[str, Any]:
    """A trace as JSON types."""
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


def _kg(kilograms: Decimal | None) -> str | None:
    return None if kilograms is None else str(kilograms)
