"""Upkeep: the work that no message asks for. Every worker does it; the database sees to it that once is enough."""

from collections.abc import Callable
from datetime import datetime

from runworker.engine import Engine
from runworker.engine.sql.claims import OVERDUE, QUEUED
from runworker.upkeep.expire import ALL, expire_overdue
from runworker.upkeep.queued import queued_since, take_queued
from runworker.upkeep.suspects import judge_suspects


def sweep(
    engine: Engine,
    seen_until: Callable[[], datetime] = lambda: ALL,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Take in what upstreams put into the ledger, and then expire what is overdue. Returns how many it judged.

    Suspects come first, one by one. What is QUEUED still holds back the expiry of what became overdue since it came.

    seen_until: asked after the former, tells which messages were looked at; what it raises ends the sweep.
    """
    judged = judge_suspects(engine, QUEUED, stopping) + take_queued(engine, stopping)
    until = min(seen_until(), queued_since(engine) or ALL)
    judged += judge_suspects(engine, OVERDUE, stopping, expire=until)
    return judged + expire_overdue(engine, until, stopping)
