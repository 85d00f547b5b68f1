"""Loading lots: those that commands name, those of whole runs, and what was taken from them."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select

from runworker.engine.arrays import Uuids, any_of
from runworker.handlers.facts import Lot as LotFact
from runworker.models import Lot, LotGenealogy
from runworker.states import LotStatus

_OPEN = [status.value for status in (LotStatus.CREATED, LotStatus.QUARANTINE, LotStatus.RELEASED, LotStatus.HOLD)]


_RUNS_OF = select(Lot.production_run_id).where(Lot.id == any_of("ids"), Lot.production_run_id.is_not(None)).distinct()

_COLUMNS = select(
    Lot.id,
    Lot.lot_code,
    Lot.lot_type,
    Lot.status,
    Lot.production_run_id.label("run_id"),
    Lot.step_index,
    Lot.weight_kg,
    Lot.temperature_c,
    Lot.sku_type,
    Lot.supplier_id,
    Lot.operator_id,
    Lot.status_reason,
)
# Open lots are locked whatever their state: one that quality control is stopping at this moment is waited for.
_LOTS = (
    _COLUMNS.where(
        or_(
            Lot.id == any_of("ids"),
            Lot.production_run_id == any_of("all_of"),
            and_(Lot.production_run_id == any_of("open_of"), Lot.status.in_(_OPEN)),
        )
    )
    .order_by(Lot.id)
    .with_for_update()
)
_LINKS = select(LotGenealogy.parent_lot_id, LotGenealogy.child_lot_id, LotGenealogy.quantity_used_kg).where(
    LotGenealogy.parent_lot_id == any_of("ids")
)


def runs_of_lots(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """The runs that these lots belong to. A lot never changes its run, so that this can be read without a lock."""
    return {id_ for id_ in connection.execute(_RUNS_OF, {"ids": Uuids(ids)}).scalars() if id_} if ids else set()


def load_lots(
    connection: Connection, ids: Collection[UUID], all_of: Collection[UUID], open_of: Collection[UUID]
) -> dict[UUID, LotFact]:
    """Lots by id, all lots of the runs `all_of`, and those of `open_of` that may still move; locked, in id order."""
    if not ids and not all_of and not open_of:
        return {}
    rows = connection.execute(_LOTS, {"ids": Uuids(ids), "all_of": Uuids(all_of), "open_of": Uuids(open_of)})
    lots = {row.id: _fact(row) for row in rows}
    if not lots:
        return lots
    children: defaultdict[UUID, set[UUID]] = defaultdict(set)
    taken: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    for parent_id, child_id, quantity in connection.execute(_LINKS, {"ids": Uuids(lots)}):
        children[parent_id].add(child_id)
        taken[parent_id] += quantity or Decimal(0)
    return {
        id_: replace(lot, taken_kg=taken[id_], children=frozenset(children[id_])) if id_ in children else lot
        for id_, lot in lots.items()
    }


def _fact(row: Any) -> LotFact:
    return LotFact(**{**row._mapping, "status": LotStatus(row.status)})
