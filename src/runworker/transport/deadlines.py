"""Deadlines: nobody waits for Redis for long, whatever has become of the wire.

A wire that is cut without a word (packets dropped, a firewall that forgets) leaves a socket that looks well. Whoever
waits for an answer there gives up after a time of its own; what was written and nobody took is given up by the kernel.
"""

import socket
from typing import Any, Final

HEALTH_CHECK_SECONDS: Final = 5
"""Seconds without traffic after which a connection is tried before it is used. A fetch that nobody answers is given up
as much later than its answer was due."""

_OF_THE_KERNEL: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
"""Seconds, seconds, number of tries, milliseconds."""

KEEPALIVE: Final = {getattr(socket, name): much for name, much in _OF_THE_KERNEL.items() if hasattr(socket, name)}
"""Options of sockets that hold a wire to be cut, as far as this kernel knows them."""


def broker_deadlines(seconds: float) -> dict[str, Any]:
    """Options of either transport for its connections. seconds: the longest wait for an answer."""
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_SECONDS,
    }


def result_deadlines(seconds: float) -> dict[str, Any]:
    """Celery's settings for its connections to the result backend. Its own wait for two minutes."""
    return {"redis_socket_timeout": seconds, "redis_socket_connect_timeout": seconds}


def result_attempts(seconds: float) -> dict[str, Any]:
    """How long the result backend is tried again: no new attempt begins after so many seconds."""
    return {"retry_policy": {"timeout": seconds}}
