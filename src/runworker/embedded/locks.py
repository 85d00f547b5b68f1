"""File locks (flock): one starter at a time, and one server to a data folder.

A server inherits the open lock file of its data folder, and so do its own children. The kernel therefore holds the
lock until the last of them is gone, whatever happened to their parent: no pid can be mistaken for another.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from runworker.errors import ServerError

POLL_SECONDS = 0.05


@contextmanager
def locked(path: Path, *, timeout: float, if_busy: str) -> Iterator[int]:
    """Hold the lock at path and yield its file descriptor; a child that inherits it goes on holding the lock.

    Waits up to timeout seconds, then raises ServerError with the text if_busy.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        attempts = Retrying(
            stop=stop_after_delay(timeout),
            wait=wait_fixed(POLL_SECONDS),
            retry=retry_if_exception_type(BlockingIOError),
            reraise=True,
        )
        try:
            attempts(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServerError(if_busy) from error
        yield descriptor
    finally:
        os.close(descriptor)  # never LOCK_UN: that would take the lock from the children as well


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock at path."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
