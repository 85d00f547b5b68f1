"""Leases: each consumer says every second that it lives. Soon after it dies, its unacked messages go to others.

Without leases a dead worker's messages come back after the visibility timeout only, which has to be longer than the
longest work. Stock workers know of no leases: their unacked messages still wait for that.
"""

import os
import socket
import threading
from contextlib import suppress
from typing import Final
from uuid import uuid4

import structlog
from redis import Redis
from redis.exceptions import RedisError

from runworker.transport.scripts import PROLONG

_log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 5
"""Seconds that a holder may be silent, by the server's clock."""

_PROLONGED_EVERY_SECONDS: Final = 1.0


class Lease:
    """A lease from now on until `end`, prolonged by a thread: an event loop may be busy for longer than it lasts.

    holder: names the process and its machine, and begins the tags of the messages that the channel fetches. index: key
    of the sorted set of unacked messages. leases: key of the sorted set of holders, by when their leases lapse. Raises
    RedisError.
    """

    def __init__(self, server: Redis, index: str, leases: str) -> None:
        self.holder = f"{os.getpid()}@{socket.gethostname()}:{uuid4().hex[:12]}"
        self._server = server
        self._keys = index, leases
        self._ended = threading.Event()
        self._prolong()
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._keeper.start()

    def end(self) -> None:
        """Let the lease lapse at once: with the server away when the channel closed, messages may be unacked still."""
        self._ended.set()
        self._keeper.join(_PROLONGED_EVERY_SECONDS)  # or the thread might prolong the lease after this
        with suppress(RedisError):
            self._server.zadd(self._keys[1], {self.holder: 0}, xx=True)

    def _keep(self) -> None:
        while not self._ended.wait(_PROLONGED_EVERY_SECONDS):
            try:
                self._prolong()
            except RedisError as error:
                _log.debug("transport.lease_not_prolonged", error=str(error))

    def _prolong(self) -> None:
        left = self._server.eval(PROLONG, 2, *self._keys, self.holder, LEASE_SECONDS)
        for holder, messages in zip(left[::2], left[1::2], strict=True):
            _log.warning("transport.holder_is_gone", holder=holder.decode(errors="replace"), messages=messages)
