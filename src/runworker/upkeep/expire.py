"""Expiry: commands whose turn did not come in time."""

from typing import Final

from runworker.engine import Engine
from runworker.engine.sql.ledger import OVERDUE

CHUNK: Final = 100
"""Commands of one transaction at most."""


def expire_overdue(engine: Engine) -> int:
    """Judge the WAITING commands that are overdue for longest once more: those that still wait become EXPIRED.

    Returns how many were judged. Raises Unavailable.
    """
    return engine.judge_found(OVERDUE, CHUNK)
