"""Rules between a parent lot and its child."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from runworker.codes import Code
from runworker.errors import Rejected
from runworker.handlers.facts import Facts, LotFact, RunFact
from runworker.states import SKU_INHERITING_LOT_TYPES, LotStatus, LotType, RunStatus


def consumed(
    parent: LotFact, child: LotFact, quantity_kg: Decimal, run: RunFact | None, facts: Facts, *, final: bool
) -> LotFact:
    """The parent after `quantity_kg` of it went into the child; CONSUMED when nothing is left or `final`.

    run: the child's. Raises Rejected where a rule forbids it.
    """
    if parent.status is not LotStatus.RELEASED:
        raise Rejected(
            Code.PARENT_NOT_RELEASED,
            f"parent {parent.id} is {parent.status}; only RELEASED lots are used",
            lot_status=str(parent.status),
        )
    if parent.step_index is not None and child.step_index is not None and parent.step_index >= child.step_index:
        raise Rejected(
            Code.PARENT_NOT_EARLIER,
            f"parent {parent.id} is of step {parent.step_index}, not of one before the child's step {child.step_index}",
        )
    _require_same_place(parent, run, facts)
    if quantity_kg > parent.left_kg:
        raise Rejected(
            Code.QUANTITY_EXCEEDS_LEFT,
            f"{quantity_kg} kg wanted of parent {parent.id}; {parent.left_kg} kg of {parent.weight_kg} kg are left",
            left_kg=str(parent.left_kg),
        )
    taken = replace(parent, taken_kg=parent.taken_kg + quantity_kg, children=parent.children | {child.id})
    return replace(taken, status=LotStatus.CONSUMED) if final or taken.left_kg == 0 else taken


def sku_of_child(child: LotFact, material: Sequence[LotFact]) -> str | None:
    """The child's SKU once it holds this material. Raises Rejected where SKUs would mix.

    material: its parents, and the child itself where it holds some already. A lot of a type with a SKU keeps to that.
    A pallet has the SKU of its material. A shipment has one as long as all its material is of that SKU.
    """
    found = {_sku(lot) for lot in material}
    skus = sorted(sku for sku in found if sku)
    if child.lot_type is LotType.SHIP:
        return found.pop() if len(found) == 1 else None
    if child.lot_type is LotType.PAL:
        if len(skus) > 1:
            raise Rejected(Code.SKU_MIXED, f"a pallet holds one SKU; this one would hold {' and '.join(skus)}")
        return skus[0] if skus else None
    own = _sku(child)
    others = [sku for sku in skus if sku != own]
    if own is not None and others:
        raise Rejected(Code.SKU_MIXED, f"a lot of SKU {own} takes no parents of SKU {', '.join(others)}")
    return own


def relabelled(child: LotFact, parent: LotFact) -> tuple[LotFact, ...]:
    """The child with another SKU, where it inherits one and the parent's material changes it; else nothing."""
    sku = sku_of_child(child, [child, parent])
    return (
        (replace(child, sku_type=sku),) if child.lot_type in SKU_INHERITING_LOT_TYPES and sku != child.sku_type else ()
    )


def sku_of_type(lot_type: LotType | None) -> str | None:
    """The SKU that a type names, if it names one."""
    return lot_type[-2:] if lot_type is not None and lot_type.endswith(("15", "30")) else None


def _sku(lot: LotFact) -> str | None:
    # A type that names its SKU tells it also where another system left the column empty.
    return lot.sku_type or sku_of_type(lot.lot_type)


def _require_same_place(parent: LotFact, run: RunFact | None, facts: Facts) -> None:
    home = facts.runs.get(parent.run_id) if parent.run_id else None
    if home is None or run is None:
        return
    if home.status is RunStatus.ARCHIVED:
        raise Rejected(Code.PARENT_RUN_ARCHIVED, f"parent {parent.id} belongs to run {home.id}, which is ARCHIVED")
    if home.site_code and run.site_code and home.site_code != run.site_code:
        raise Rejected(
            Code.PARENT_OTHER_SITE, f"parent {parent.id} is at {home.site_code}, the child at {run.site_code}"
        )
