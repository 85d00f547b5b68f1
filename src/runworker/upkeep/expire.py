"""Expiry: commands whose turn did not come in time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from runworker.engine import Engine
from runworker.engine.sql.ledger import OVERDUE

CHUNK: Final = 100
"""Commands of one transaction at most."""

_MOST_LEFT: Final = 1000
"""Commands that one look leaves at most: somebody holds what they are about."""

ALL: Final = datetime.max.replace(tzinfo=UTC)
"""Of all that was sent, every message was looked at."""


def expire_overdue(engine: Engine, seen_until: datetime = ALL, stopping: Callable[[], bool] = lambda: False) -> int:
    """Judge WAITING commands that are overdue once more: those that still wait become EXPIRED.

    seen_until: all messages that were sent by then were looked at. What became overdue later may have its turn in one
    that was not. Returns how many were judged. Raises Unavailable.
    """
    judged = 0
    left: set[UUID] = set()
    while not stopping() and len(left) < _MOST_LEFT:
        chunk = engine.judge_found(OVERDUE, CHUNK, left, expire=seen_until)
        judged += chunk.judged
        left |= chunk.left
        if not (chunk.judged or chunk.left):
            break
    return judged
