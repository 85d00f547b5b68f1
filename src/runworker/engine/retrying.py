"""Work on PostgreSQL that is done again for as long as it is the server that fails."""

from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from runworker.engine.constraints import Blame, blame, reason, sqlstate
from runworker.errors import Unavailable

_log = structlog.get_logger(__name__)

_LONGEST_PAUSE: Final = 2.0
"""Most seconds between two attempts."""

_IF_THE_SERVER_FAILS: Final = retry_if_exception(lambda error: blame(error) is Blame.SERVER)

Result = TypeVar("Result")


def retried(work: Callable[[], Result], seconds: float) -> Result:
    """What `work` gives, done again with backoff and jitter for so many seconds; then raises Unavailable."""
    attempts = Retrying(
        retry=_IF_THE_SERVER_FAILS,
        wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_PAUSE),
        stop=stop_after_delay(seconds),
        before_sleep=_log_retry,
    )
    try:
        return attempts(work)
    except RetryError as error:
        cause = error.last_attempt.exception()
        said = reason(cause) if cause else "no reason given"
        raise Unavailable(f"PostgreSQL did not do the work in {seconds} s: {said}") from cause


def _log_retry(state: RetryCallState) -> None:
    if error := state.outcome and state.outcome.exception():
        _log.warning(
            "database.retry",
            attempt=state.attempt_number,
            error=type(error).__name__,
            sqlstate=sqlstate(error),
            reason=reason(error),
        )
