"""Waits for a condition of a server, for a bounded time."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from runworker.errors import ServerError

PATIENCE_SECONDS: Final = 30.0
"""After which a server that was to come back is not going to."""

POLL_SECONDS: Final = 0.05

Found = TypeVar("Found")


def wait_until(
    look: Callable[[], Found],
    what: str,
    *,
    seconds: float = PATIENCE_SECONDS,
    passing: tuple[type[Exception], ...] = (),
) -> Found:
    """What `look` finds, as soon as it finds something true. passing: errors that mean "not yet".

    Raises ServerError, with `what`, when the time is over.
    """
    deadline = time.monotonic() + seconds
    last = "nothing"
    while True:
        try:
            if found := look():
                return found
        except passing as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise ServerError(f"not within {seconds:.0f} s: {what} (last seen: {last}).")
        time.sleep(POLL_SECONDS)
