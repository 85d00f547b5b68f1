"""Suspects: stored commands that a process died with, judged one by one."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from runworker.engine import Engine
from runworker.engine.sql.claims import Due

_MOST: Final = 100
"""Suspects of one look at most: other work waits meanwhile."""


def judge_suspects(engine: Engine, due: Due, stopping: Callable[[], bool], *, expire: datetime | None = None) -> int:
    """Judge stored commands of one kind that a process died with. Returns how many. Raises Unavailable."""
    judged = 0
    while judged < _MOST and not stopping() and engine.found.judge_suspect(due, expire=expire):
        judged += 1
    return judged
