"""Expiry: commands whose turn did not come in time."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from runworker.engine import Engine
from runworker.engine.sql.ledger import OVERDUE

CHUNK: Final = 100
"""Commands of one transaction at most."""


def expire_overdue(
    engine: Engine, seen_until: datetime | None = None, stopping: Callable[[], bool] = lambda: False
) -> int:
    """Judge all WAITING commands that are overdue once more: those that still wait become EXPIRED.

    seen_until: when all that was sent had been looked at; what became overdue later may have its turn in a message or a
    row that nobody has read. None: just now. Returns how many were judged. Raises Unavailable.
    """
    judged = 0
    left: set[UUID] = set()
    while not stopping():
        chunk = engine.judge_found(OVERDUE, CHUNK, left, seen_until=seen_until)
        judged += chunk.judged
        left |= chunk.left
        if not chunk.judged:
            break
    return judged
