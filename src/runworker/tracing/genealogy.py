"""Lots and the links between them as plain objects, and the one shape of statement that reads them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CTE, Connection, FromClause, Row, ScalarSelect, Select, func, select, true

from runworker.errors import RunworkerError
from runworker.models import Lot, LotGenealogy, ProductionRun, Supplier
from runworker.states import LotStatus, LotType

LINKS: Final = LotGenealogy.__table__
_NOTHING: Final = Decimal("0.00")
# An older system may have noted NaN, which is no quantity.
_USED: Final = func.nullif(LINKS.c.quantity_used_kg, Decimal("NaN"), type_=LINKS.c.quantity_used_kg.type)


class NotFound(RunworkerError):
    """No lot or run has the code or id that was asked for."""


@dataclass(frozen=True, slots=True)
class TracedLot:
    """A lot with its kilograms. A legacy lot may lack type, step, run or weight.

    used_kg: what was taken from its parents to make it. taken_kg: what its children took from it.
    """

    id: UUID
    code: str
    lot_type: LotType | None
    status: LotStatus
    step_index: int | None
    sku_type: str | None
    weight_kg: Decimal | None
    used_kg: Decimal
    taken_kg: Decimal
    temperature_c: Decimal | None
    status_reason: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    operator_id: UUID | None
    run_id: UUID | None
    run_code: str | None
    supplier_code: str | None
    supplier_name: str | None

    @property
    def left_kg(self) -> Decimal:
        """Its weight without what was taken; below zero where more was taken than it weighed."""
        return (self.weight_kg or _NOTHING) - self.taken_kg


@dataclass(frozen=True, slots=True)
class TracedLink:
    """Material that went from a parent into a child, in kilograms; None where a legacy link does not say."""

    parent_id: UUID
    child_id: UUID
    quantity_kg: Decimal | None


@dataclass(frozen=True)
class Genealogy:
    """Some lots by id, in the order of their codes, and the links between them."""

    lots: Mapping[UUID, TracedLot]
    links: tuple[TracedLink, ...]

    @cached_property
    def parents(self) -> Mapping[UUID, list[TracedLink]]:
        """Links by child, parents in the order of their codes."""
        return self._by(lambda link: link.child_id, lambda link: link.parent_id)

    @cached_property
    def children(self) -> Mapping[UUID, list[TracedLink]]:
        """Links by parent, children in the order of their codes."""
        return self._by(lambda link: link.parent_id, lambda link: link.child_id)

    def ancestors(self, lot_id: UUID) -> dict[UUID, int]:
        """The lot and all that it was made of, with the fewest links to each."""
        return _walk(lot_id, {child: [link.parent_id for link in links] for child, links in self.parents.items()})

    def descendants(self, lot_id: UUID) -> dict[UUID, int]:
        """The lot and all that was made of it, with the fewest links to each."""
        return _walk(lot_id, {parent: [link.child_id for link in links] for parent, links in self.children.items()})

    def _by(self, near: Any, far: Any) -> Mapping[UUID, list[TracedLink]]:
        found: defaultdict[UUID, list[TracedLink]] = defaultdict(list)
        for link in sorted(self.links, key=lambda link: self.lots[far(link)].code):
            found[near(link)].append(link)
        return found


def walked(name: str, start: Select[UUID, int], *, back: bool, depth: Any = None) -> CTE:
    """A recursive CTE (lot_id, level) over all lots that can be reached from `start`, itself (lot_id, level 0).

    depth: an expression for how many links to follow at most; without one all are.

    UNION forgets rows that were found before, so that neither a diamond nor a cycle of legacy links is walked twice.
    For that, a walk without a depth does not count: its level stays 0. With a depth a lot is met at most once a level.
    """
    here, there = _ends(back)
    reached = start.cte(name, recursive=True)
    ahead = _lateral(select(there.label("lot_id")).where(here == reached.c.lot_id))
    step = select(ahead.c.lot_id, reached.c.level + (0 if depth is None else 1)).join_from(reached, ahead, true())
    return reached.union(step if depth is None else step.where(reached.c.level < depth))


def links_of(reached: FromClause, *, back: bool) -> Select[Any]:
    """Links (parent_id, child_id, kg) from lots of `reached`, none of them twice, to their parents or children."""
    here, _ = _ends(back)
    beside = _lateral(
        select(
            LINKS.c.parent_lot_id.label("parent_id"),
            LINKS.c.child_lot_id.label("child_id"),
            func.sum(_USED).label("kg"),
        )
        .where(here == reached.c.lot_id)
        .group_by(LINKS.c.parent_lot_id, LINKS.c.child_lot_id)
    )
    return select(beside.c.parent_id, beside.c.child_id, beside.c.kg).join_from(reached, beside, true())


def genealogy_query(reached: FromClause, links: FromClause) -> Select[Any]:
    """The statement that reads lots (reached.lot_id, no id twice) and links (parent_id, child_id, kg), a row a lot."""
    lot = _lateral(select(Lot.__table__).where(Lot.id == reached.c.lot_id))
    made_of = (
        select(
            links.c.child_id,
            func.array_agg(links.c.parent_id).label("parent_ids"),
            func.array_agg(links.c.kg).label("kgs"),
        )
        .group_by(links.c.child_id)
        .subquery("made_of")
    )
    taken = func.coalesce(func.sum(_USED), _NOTHING)
    return (
        select(
            lot,
            select(taken).where(LINKS.c.child_lot_id == lot.c.id).scalar_subquery().label("used_kg"),
            select(taken).where(LINKS.c.parent_lot_id == lot.c.id).scalar_subquery().label("taken_kg"),
            _of(ProductionRun.run_code, ProductionRun.id == lot.c.production_run_id).label("run_code"),
            _of(Supplier.code, Supplier.id == lot.c.supplier_id).label("supplier_code"),
            _of(Supplier.name, Supplier.id == lot.c.supplier_id).label("supplier_name"),
            made_of.c.parent_ids,
            made_of.c.kgs,
        )
        .join_from(reached, lot, true())
        .outerjoin(made_of, made_of.c.child_id == lot.c.id)
        .order_by(lot.c.lot_code)
    )


def read_genealogy(connection: Connection, query: Select[Any], **parameters: Any) -> Genealogy:
    """Run a `genealogy_query`."""
    rows = connection.execute(query, parameters).all()
    return Genealogy({row.id: _lot(row) for row in rows}, tuple(link for row in rows for link in _links(row)))


def _ends(back: bool) -> tuple[Any, Any]:
    """The columns of a link: the end that a walk comes from, and the end that it goes to."""
    ends = LINKS.c.child_lot_id, LINKS.c.parent_lot_id
    return ends if back else ends[::-1]


def _lateral(rows: Select[Any]) -> FromClause:
    """Rows looked up for each row beside them, by index.

    OFFSET 0 keeps the planner from joining the tables whole, which it does where it thinks that a walk finds a good
    part of them; it cannot know how little that is, and the time would grow with the plant's history.
    """
    return rows.offset(0).lateral()


def _of(column: Any, condition: Any) -> ScalarSelect[Any]:
    return select(column).where(condition).scalar_subquery()


def _lot(row: Row[Any]) -> TracedLot:
    return TracedLot(
        id=row.id,
        code=row.lot_code,
        lot_type=row.lot_type,
        status=LotStatus(row.status),
        step_index=row.step_index,
        sku_type=row.sku_type,
        weight_kg=_number(row.weight_kg),
        used_kg=row.used_kg,
        taken_kg=row.taken_kg,
        temperature_c=_number(row.temperature_c),
        status_reason=row.status_reason,
        metadata=row.metadata,
        created_at=row.created_at,
        operator_id=row.operator_id,
        run_id=row.production_run_id,
        run_code=row.run_code,
        supplier_code=row.supplier_code,
        supplier_name=row.supplier_name,
    )


def _number(noted: Decimal | None) -> Decimal | None:
    return noted if noted is not None and noted.is_finite() else None


def _links(row: Row[Any]) -> Iterable[TracedLink]:
    for parent_id, kg in zip(row.parent_ids or (), row.kgs or (), strict=True):
        yield TracedLink(parent_id, row.id, kg)


def _walk(start: UUID, neighbours: Mapping[UUID, list[UUID]]) -> dict[UUID, int]:
    levels = {start: 0}
    front = [start]
    while front:
        ahead = dict.fromkeys(there for here in front for there in neighbours.get(here, ()) if there not in levels)
        levels.update(dict.fromkeys(ahead, levels[front[0]] + 1))
        front = list(ahead)
    return levels
