"""Taking in: commands that upstreams put into the ledger within transactions of their own."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from runworker.engine import Engine
from runworker.engine.sql.claims import QUEUED

CHUNK: Final = 100
"""Commands of one transaction at most."""

FIRST_CHUNK: Final = 10
"""Commands of the first one: who looks at what came first waits for no other ninety."""

_MOST_LEFT: Final = 1000
"""Commands that are left at most before the look turns to them."""


def take_queued(engine: Engine, stopping: Callable[[], bool] = lambda: False) -> int:
    """Judge all commands that are QUEUED, oldest first. Returns how many. Raises Unavailable.

    Several workers share them: each passes over what another is at work on, and waits for it only at the end, where
    something is still left then. What is held up by somebody else is passed over, too, until the next look. stopping:
    asked between two transactions.
    """
    judged = 0
    most = FIRST_CHUNK
    left: set[UUID] = set()
    held_up: set[UUID] = set()
    is_over = False
    while not (is_over or stopping()):
        chunk = engine.found.judge(QUEUED, most)
        judged += chunk.judged
        left |= chunk.left
        most = CHUNK
        is_over = not (chunk.judged or chunk.left)
        while left and (is_over or len(left) >= _MOST_LEFT) and not stopping():
            some = [left.pop() for _ in range(min(CHUNK, len(left)))]
            again = engine.found.judge_left(some)
            judged += again.judged
            held_up |= again.left
    engine.found.release(left | held_up)
    return judged
