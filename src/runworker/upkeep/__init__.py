"""Upkeep: the work that no message asks for. Every worker does it; the database sees to it that once is enough."""

from runworker.engine import Engine
from runworker.upkeep.expire import expire_overdue
from runworker.upkeep.queued import take_queued


def sweep(engine: Engine) -> int:
    """Take in what upstreams put into the ledger themselves, and expire what waited too long. Returns how many."""
    return take_queued(engine) + expire_overdue(engine)
