"""The trace of one lot: its ancestors and its descendants."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Integer, Select, bindparam, literal, select, union

from runworker.models import Lot
from runworker.tracing.genealogy import (
    Genealogy,
    NotFound,
    TracedLot,
    genealogy_query,
    links_of,
    read_genealogy,
    walked,
)


class Direction(StrEnum):
    """The direction of a trace."""

    BACK = "back"  # to parents: what it was made of
    FORWARD = "forward"  # to children: what was made of it
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Trace:
    """The lots that can be reached from a lot, `depth` links away at most; without a depth, all of them."""

    root_id: UUID
    direction: Direction
    depth: int | None
    genealogy: Genealogy

    @property
    def root(self) -> TracedLot:
        """The lot that was asked for."""
        return self.genealogy.lots[self.root_id]


def trace(connection: Connection, code: str, direction: Direction = Direction.BOTH, depth: int | None = None) -> Trace:
    """Trace the lot with this code, in one statement. Raises NotFound where no lot has it."""
    query = _query(direction, limited=depth is not None)
    found = read_genealogy(connection, query, code=code, **({} if depth is None else {"depth": depth}))
    root_id = next((lot.id for lot in found.lots.values() if lot.code == code), None)
    if root_id is None:
        raise unknown_lot(code)
    return Trace(root_id, direction, depth, found)


@cache  # SQLAlchemy takes ten times as long to build it as PostgreSQL to answer
def _query(direction: Direction, *, limited: bool) -> Select[Any]:
    """For `code` and, where limited, `depth`."""
    depth = bindparam("depth", type_=Integer) if limited else None
    backs = [back for back, name in ((True, Direction.BACK), (False, Direction.FORWARD)) if direction in (name, "both")]
    walks = {back: walked("back" if back else "forward", lot_asked_for(), back=back, depth=depth) for back in backs}
    reached = union(*(select(walk.c.lot_id).distinct() for walk in walks.values())).cte("reached")
    links = []
    for back, walk in walks.items():
        # Lots at the last level were met and not gone on from; their own links are beyond the depth.
        met = select(walk.c.lot_id).distinct()
        links.append(links_of((met if depth is None else met.where(walk.c.level < depth)).subquery(), back=back))
    return genealogy_query(reached, union(*links).cte("links"))


def lot_asked_for() -> Select[UUID, int]:
    """The start of a walk: the lot with `code`, at level 0."""
    return select(Lot.id.label("lot_id"), literal(0).label("level")).where(Lot.lot_code == bindparam("code"))


def unknown_lot(code: str) -> NotFound:
    """The error for a code that no lot has."""
    return NotFound(f"No lot has the code {code!r}. Give it as on the label, in capitals: RAW-20260125-DUNA-0001.")
