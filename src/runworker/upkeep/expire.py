"""Expiry: commands whose turn did not come in time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from runworker.engine import Engine
from runworker.engine.sql.claims import OVERDUE

CHUNK: Final = 100
"""Commands of one transaction at most."""

ALL: Final = datetime.max.replace(tzinfo=UTC)
"""Of all that was sent, every message was looked at."""


def expire_overdue(engine: Engine, seen_until: datetime = ALL, stopping: Callable[[], bool] = lambda: False) -> int:
    """Judge WAITING commands that are overdue once more: those that still wait become EXPIRED.

    seen_until: all messages that were sent by then were looked at. What became overdue later may have its turn in one
    that was not. Returns how many were judged. Raises Unavailable.
    """
    judged = 0
    left: list[UUID] = []
    while not stopping():
        chunk = engine.found.judge(OVERDUE, CHUNK, expire=seen_until)
        judged += chunk.judged
        left += chunk.left
        if not (chunk.judged or chunk.left):
            break
    engine.found.release(left)
    return judged
