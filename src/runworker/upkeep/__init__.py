"""Upkeep: the work that no message asks for. Every worker does it; the database sees to it that once is enough."""

from collections.abc import Callable
from datetime import datetime

from runworker.engine import Engine
from runworker.upkeep.expire import ALL, expire_overdue
from runworker.upkeep.queued import take_queued


def sweep(
    engine: Engine,
    seen_until: Callable[[], datetime] = lambda: ALL,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Take in what upstreams put into the ledger, and then expire what is overdue. Returns how many it judged.

    seen_until: asked after the former, tells which messages were looked at; what it raises ends the sweep.
    """
    taken = take_queued(engine, stopping)
    return taken + expire_overdue(engine, seen_until(), stopping)
