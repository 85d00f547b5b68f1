"""Taking in: commands that upstreams put into the ledger within transactions of their own."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from runworker.engine import Engine
from runworker.engine.sql.ledger import QUEUED

CHUNK: Final = 100
"""Commands of one transaction at most."""

FIRST_CHUNK: Final = 10
"""Commands of the first one: who looks at what came first waits for no other ninety."""

_MOST_LEFT: Final = 1000
"""Commands that one look leaves at most before it turns to them."""


def take_queued(engine: Engine, stopping: Callable[[], bool] = lambda: False) -> int:
    """Judge all commands that are QUEUED, oldest first. Returns how many. Raises Unavailable.

    Several workers share them: each passes over what another is at work on, and waits for it only at the end, where
    something is still left then. stopping: asked between two transactions.
    """
    judged = 0
    left: set[UUID] = set()
    while not stopping() and len(left) < _MOST_LEFT:
        chunk = engine.judge_found(QUEUED, CHUNK if judged else FIRST_CHUNK, left)
        judged += chunk.judged
        left |= chunk.left
        if not (chunk.judged or chunk.left):
            break
    while left and not stopping():
        some = [left.pop() for _ in range(min(CHUNK, len(left)))]
        judged += engine.judge_again(some)
    return judged
