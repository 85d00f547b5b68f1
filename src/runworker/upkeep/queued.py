"""Taking in: commands that upstreams put into the ledger within transactions of their own."""

from typing import Final

from runworker.engine import Engine
from runworker.engine.sql.ledger import QUEUED

CHUNK: Final = 100
"""Commands of one transaction at most."""


def take_queued(engine: Engine) -> int:
    """Judge the commands that have been QUEUED for longest. Returns how many. Raises Unavailable."""
    return engine.judge_found(QUEUED, CHUNK)
