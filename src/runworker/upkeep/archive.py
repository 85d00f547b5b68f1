"""Archiving: finished runs put away once their retention has passed, a bounded chunk at a time."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Engine, Interval, bindparam, func, select, text, update

from runworker.models import ProductionRun
from runworker.states import RunStatus

CHUNK: Final = 500
"""Runs of one transaction at most."""

_FINISHED: Final = text("status IN ('COMPLETED', 'ABORTED')")
"""As the index on `ended_at` has it: with parameters, a prepared statement could not use that index."""

_DUE: Final = (
    select(ProductionRun.id)
    .where(_FINISHED, ProductionRun.ended_at <= func.now() - bindparam("retention", type_=Interval()))
    .order_by(ProductionRun.ended_at)
    .limit(CHUNK)
    .with_for_update(skip_locked=True)
)
_ARCHIVE: Final = (
    update(ProductionRun).where(ProductionRun.id.in_(_DUE.scalar_subquery())).values(status=RunStatus.ARCHIVED.value)
)


def archive_finished_runs(database: Engine, retention: timedelta) -> int:
    """Archive the finished runs that ended longest ago. Returns how many; fewer than CHUNK when none are left.

    No command asks for it, so that its audit events name the database user only. Runs that somebody works on are left
    for the next round.
    """
    with database.begin() as connection:
        return connection.execute(_ARCHIVE, {"retention": retention}).rowcount
