"""Lots, their genealogy and quality decisions: how they are locked and loaded, and how they are written."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Table, and_, or_, select

from runworker.engine.sql.arrays import Uuids, any_of
from runworker.engine.sql.writes import FROM_STATUS, Row, insert_rows, update_rows
from runworker.handlers.facts import LinkFact, LotFact, QcFact
from runworker.ids import new_id
from runworker.models import Lot, LotGenealogy, QCDecision
from runworker.states import OPEN_LOTS, LotStatus

_lots: Final[Table] = Lot.metadata.tables["lots"]
_links: Final[Table] = LotGenealogy.metadata.tables["lot_genealogy"]
_decisions: Final[Table] = QCDecision.metadata.tables["qc_decisions"]

_FIELDS: Final = (
    "id", "lot_code", "lot_type", "status", "production_run_id", "step_index", "weight_kg", "temperature_c", "sku_type",
    "supplier_id", "operator_id", "status_reason",
)  # fmt: skip
"""Columns that are facts, in the order of the facts' fields."""

_RUNS_OF = select(_lots.c.production_run_id).where(_lots.c.id == any_of("ids"), _lots.c.production_run_id.is_not(None))

# Open lots are locked whatever their state: one that quality control is stopping at this moment is waited for.
_LOAD = (
    select(*(_lots.c[name] for name in _FIELDS))
    .where(
        or_(
            _lots.c.id == any_of("ids"),
            _lots.c.production_run_id == any_of("all_of"),
            and_(
                _lots.c.production_run_id == any_of("open_of"),
                _lots.c.status.in_(sorted(status.value for status in OPEN_LOTS)),
            ),
        )
    )
    .order_by(_lots.c.id)
    .with_for_update()
)
_LOAD_LINKS = select(_links.c.parent_lot_id, _links.c.child_lot_id, _links.c.quantity_used_kg).where(
    _links.c.parent_lot_id == any_of("ids")
)

_COLUMNS = ("command_key", FROM_STATUS, "metadata", *_FIELDS)

INSERT_LOTS: Final = insert_rows(_lots, _COLUMNS)
RELABEL_LOTS: Final = update_rows(
    _lots, _COLUMNS, ["id"], ["lot_type", "production_run_id", "step_index", "sku_type", "status_reason"]
)
UPDATE_LOTS: Final = update_rows(_lots, _COLUMNS, ["id"], ["temperature_c", "status_reason"])
INSERT_LINKS: Final = insert_rows(_links, ("id", "parent_lot_id", "child_lot_id", "quantity_used_kg", "command_key"))
INSERT_QC_DECISIONS: Final = insert_rows(
    _decisions,
    (
        "command_key", "id", "lot_id", "qc_gate_id", "operator_id", "decision", "notes", "temperature_c",
        "digital_signature", "decided_at",
    ),
)  # fmt: skip


def runs_of_lots(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """The runs that these lots belong to, read without a lock: a lot never changes its run.

    One that is just being adopted is taken for one without a run, which guards then look at.
    """
    return (
        {id_ for id_ in connection.execute(_RUNS_OF.distinct(), {"ids": Uuids(ids)}).scalars() if id_} if ids else set()
    )


def load_lots(
    connection: Connection, ids: Collection[UUID], all_of: Collection[UUID], open_of: Collection[UUID]
) -> dict[UUID, LotFact]:
    """Lots by id, all lots of the runs `all_of`, and those of `open_of` that may still move; locked, in id order."""
    if not ids and not all_of and not open_of:
        return {}
    rows = connection.execute(_LOAD, {"ids": Uuids(ids), "all_of": Uuids(all_of), "open_of": Uuids(open_of)})
    lots = {row[0]: LotFact(row[0], row[1], row[2], LotStatus(row[3]), *row[4:]) for row in rows}
    if not lots:
        return lots
    children: defaultdict[UUID, set[UUID]] = defaultdict(set)
    taken: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    for parent_id, child_id, quantity in connection.execute(_LOAD_LINKS, {"ids": Uuids(lots)}):
        children[parent_id].add(child_id)
        taken[parent_id] += quantity or Decimal(0)
    return {
        id_: replace(lot, taken_kg=taken[id_], children=frozenset(children[id_])) if id_ in children else lot
        for id_, lot in lots.items()
    }


def lot_row(lot: LotFact, before: LotFact | None, command_key: UUID, codes: Mapping[UUID, str]) -> Row:
    """A row of lots, and the state that it must still be in. codes: of new lots, by id."""
    return (
        command_key,
        before.status if before else None,
        dict(lot.metadata),
        lot.id,
        lot.lot_code or codes[lot.id],
        lot.lot_type,
        lot.status,
        lot.run_id,
        lot.step_index,
        lot.weight_kg,
        lot.temperature_c,
        lot.sku_type,
        lot.supplier_id,
        lot.operator_id,
        lot.status_reason,
    )


def link_row(link: LinkFact, command_key: UUID) -> Row:
    """A row of lot_genealogy."""
    return new_id(), link.parent_id, link.child_id, link.quantity_used_kg, command_key


def qc_row(decision: QcFact, command_key: UUID) -> Row:
    """A row of qc_decisions."""
    return (
        command_key,
        decision.id,
        decision.lot_id,
        decision.qc_gate_id,
        decision.operator_id,
        decision.decision,
        decision.notes,
        decision.temperature_c,
        decision.digital_signature,
        decision.decided_at,
    )
