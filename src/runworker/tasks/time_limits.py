"""Celery's time limits. One that passes gives the message back, and decides nothing: its command may be fine."""

import signal
from collections.abc import Iterable
from typing import Any, NoReturn

from billiard.einfo import ExceptionInfo
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler

Limits = tuple[float | None, float | None]
"""Seconds after which a pool process is ended, and after which the work in it is interrupted."""


class Overdue(BaseException):
    """A soft time limit has passed. No Exception, or it would be taken for a fault of the command at work."""

    def __str__(self) -> str:
        return "over the soft time limit"


def heed_soft_limits() -> None:
    """Have a soft limit raise Overdue in this pool process, which billiard has told to raise an Exception."""
    if SIG_SOFT_TIMEOUT is not None and signal.getsignal(SIG_SOFT_TIMEOUT) is soft_timeout_sighandler:
        signal.signal(SIG_SOFT_TIMEOUT, _interrupt)


def is_time_limit(error: object) -> bool:
    """Whether a task ended because its time was up."""
    return isinstance(error, SoftTimeLimitExceeded | TimeLimitExceeded)


def limit_passed(seconds: float) -> ExceptionInfo:
    """The end of a task whose time is up, as billiard tells it."""
    try:
        raise TimeLimitExceeded(seconds)  # noqa: TRY301 - there is nothing to tell before it is raised
    except TimeLimitExceeded:
        return ExceptionInfo()


def shortest(limits: Iterable[Limits]) -> Limits:
    """The limits of a batch: of each kind the shortest of its messages, None where none has any."""
    hard, soft = zip(*limits, strict=True)
    return min(filter(None, hard), default=None), min(filter(None, soft), default=None)


def _interrupt(_number: int, _frame: Any) -> NoReturn:
    raise Overdue
