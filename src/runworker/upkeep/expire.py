"""Expiry: commands whose turn did not come in time."""

from typing import Final

from runworker.engine import Engine
from runworker.engine.sql.ledger import OVERDUE

CHUNK: Final = 100
"""Commands of one transaction at most."""


def expire_overdue(engine: Engine) -> int:
    """Judge the WAITING commands that are overdue for longest once more: what still waits becomes EXPIRED.

    Returns how many were judged. Raises Unavailable.
    """
    if keys := engine.keys(OVERDUE.limit(CHUNK)):
        engine.judge_again(keys, expire=True)
    return len(keys)
