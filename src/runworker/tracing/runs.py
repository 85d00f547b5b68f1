"""A run's lots, their neighbours in other runs, and the run's mass balance."""

import re
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, select, union

from runworker.models import Lot, ProductionRun
from runworker.tracing.genealogy import Genealogy, NotFound, genealogy_query, links_of, read_genealogy
from runworker.tracing.mass_balance import MassBalance, mass_balance

_UUID: Final = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def find_run(connection: Connection, run: str) -> UUID:
    """Id of the run with this code or id. Raises NotFound where there is none."""
    asked: Any = ProductionRun.run_code == run
    if _UUID.fullmatch(run):
        asked |= ProductionRun.id == UUID(run)
    found = connection.execute(select(ProductionRun.id).where(asked)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"No run has the code or id {run!r}. Codes look like RUN-20260125-DUNA-0001.")
    return found


def genealogy_of_run(connection: Connection, run_id: UUID) -> Genealogy:
    """The run's lots, the lots next to them that belong to other runs, and the links between; in one statement."""
    return read_genealogy(connection, _query(), run_id=run_id)


@cache
def _query() -> Select[Any]:
    own = select(Lot.id.label("lot_id")).where(Lot.production_run_id == bindparam("run_id")).cte("own")
    links = union(links_of(own, back=True), links_of(own, back=False)).cte("links")
    reached = union(select(own.c.lot_id), select(links.c.parent_id), select(links.c.child_id)).cte("reached")
    return genealogy_query(reached, links)


def balance_of_run(connection: Connection, run_id: UUID) -> MassBalance:
    """The mass balance of the run's own lots."""
    found = genealogy_of_run(connection, run_id)
    return mass_balance([lot for lot in found.lots.values() if lot.run_id == run_id], found.links)
