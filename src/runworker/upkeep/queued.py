"""Taking in: commands that upstreams put into the ledger within transactions of their own."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from runworker.engine import Engine
from runworker.engine.sql.claims import QUEUED
from runworker.models import CommandRecord
from runworker.states import CommandStatus

CHUNK: Final = 100
"""Commands of one transaction at most."""

FIRST_CHUNK: Final = 10
"""Commands of the first one: who looks at what came first waits for no other ninety."""


def take_queued(engine: Engine, stopping: Callable[[], bool] = lambda: False) -> int:
    """Judge all commands that are QUEUED, oldest first. Returns how many. Raises Unavailable.

    Several workers share them: each passes over what another is at work on, and waits for it only at the end, where
    something is still left then. What is held up by somebody else is passed over, too, until the next look. stopping:
    asked between two transactions.
    """
    judged = 0
    left: list[UUID] = []
    while not stopping():
        chunk = engine.found.judge(QUEUED, CHUNK if judged or left else FIRST_CHUNK)
        judged += chunk.judged
        left += chunk.left
        if not (chunk.judged or chunk.left):
            break
    for first in range(0, len(left), CHUNK):
        if stopping():
            break
        judged += engine.found.judge_left(left[first : first + CHUNK])
    engine.found.release(left)
    return judged


_OLDEST: Final = select(func.min(CommandRecord.received_at)).where(CommandRecord.status == CommandStatus.QUEUED)


def queued_since(engine: Engine) -> datetime | None:
    """When the oldest command came that is QUEUED still: somebody is at work on it, or something stands in its way."""
    with engine.database.begin() as connection:
        oldest: datetime | None = connection.execute(_OLDEST).scalar_one()
        return oldest
