"""A recall: every lot that contains a given one, and every supplier's lot in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, literal, select

from runworker.states import FINISHED_GOODS_LOT_TYPES, OPEN_LOTS, LotStatus, LotType
from runworker.tracing.genealogy import Genealogy, TracedLot, genealogy_query, links_of, read_genealogy, walked
from runworker.tracing.trace import lot_asked_for, unknown_lot


class Containing(StrEnum):
    """How far a lot that contains the recalled one has come."""

    SHIPMENT = "shipment"
    FINISHED_GOODS = "finished goods"
    IN_PROCESS = "in process"


@dataclass(frozen=True, slots=True)
class Recall:
    """What a recall team has to know of one lot.

    containing: lots with material of the recalled one in them, itself included, by kind. sources: suppliers' lots that
    the recalled one was made of. companions: suppliers' lots that were only later mixed with material of it.
    """

    root_id: UUID
    containing: Mapping[Containing, tuple[TracedLot, ...]]
    sources: tuple[TracedLot, ...]
    companions: tuple[TracedLot, ...]
    genealogy: Genealogy

    @property
    def root(self) -> TracedLot:
        """The recalled lot."""
        return self.genealogy.lots[self.root_id]

    @property
    def suppliers(self) -> tuple[tuple[str, str], ...]:
        """Code and name of whom to call: suppliers of the recalled lot's own raw material, then of the rest."""
        found = ((lot.supplier_code, lot.supplier_name) for lot in (*self.sources, *self.companions))
        return tuple(dict.fromkeys((code, name or "") for code, name in found if code))


def recall(connection: Connection, code: str) -> Recall:
    """Find all that contains the lot with this code, in one statement. Raises NotFound where no lot has it."""
    found = read_genealogy(connection, _query(), code=code)
    root_id = next((lot.id for lot in found.lots.values() if lot.code == code), None)
    if root_id is None:
        raise unknown_lot(code)
    inside, before = found.descendants(root_id), found.ancestors(root_id)
    by_step = sorted(found.lots.values(), key=lambda lot: (-1 if lot.step_index is None else lot.step_index, lot.code))
    raw = [lot for lot in found.lots.values() if lot.lot_type is LotType.RAW]
    return Recall(
        root_id,
        {kind: tuple(lot for lot in by_step if lot.id in inside and kind_of(lot) is kind) for kind in Containing},
        sources=tuple(lot for lot in raw if lot.id in before),
        companions=tuple(lot for lot in raw if lot.id not in before),
        genealogy=found,
    )


@cache
def _query() -> Select[Any]:
    forward = walked("forward", lot_asked_for(), back=False)
    back = walked("back", select(forward.c.lot_id, literal(0).label("level")), back=True)
    return genealogy_query(back, links_of(back, back=True).cte("links"))


def kind_of(lot: TracedLot) -> Containing:
    """How far the lot has come."""
    if lot.lot_type is LotType.SHIP:
        return Containing.SHIPMENT
    return Containing.FINISHED_GOODS if lot.lot_type in FINISHED_GOODS_LOT_TYPES else Containing.IN_PROCESS


def to_do(lot: TracedLot) -> str:
    """What a recall team does about a lot that contains the recalled one."""
    if lot.lot_type is LotType.SHIP:
        if lot.status is LotStatus.REJECTED:
            return "Rejected: make sure that it did not leave"
        return "Call back: finished" if lot.status is LotStatus.FINISHED else "Stop loading, or call back"
    if lot.status is LotStatus.REJECTED:
        return "Rejected: make sure that it is destroyed"
    if lot.status in OPEN_LOTS and lot.left_kg > 0:
        return f"Stop: {lot.left_kg} kg are at the plant"
    return "Used up: nothing left here"
