"""Whether the broker takes a worker's messages: it writes, and never throws messages away to make room."""

from typing import Any, Final

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from runworker.readiness.blocker import Blocker

AWAY: Final = "broker-away"
_REFUSES: Final = "broker-refuses"
UNREACHABLE: Final = frozenset({AWAY, _REFUSES})
"""Blockers that a consumer meets by itself, as it cannot fetch then."""

_EVICTS_ANYTHING: Final = "allkeys-"
"""Policies that throw away lists. `volatile-` ones take keys with an expiry only: copies of verdicts, no message."""


def look_at_broker(client: Redis) -> list[Blocker]:
    """What keeps a worker from taking messages off this server."""
    try:
        # A write that changes nothing, and that a full server takes: working its messages off is what empties it.
        client.hdel("unacked", "runworker.readiness")
        policy = maxmemory_policy(client)
    except ResponseError as error:
        return [
            Blocker(
                _REFUSES,
                f"The broker answers and refuses to write: {error}.",
                "Have it write again: promote it if it is a replica, make room on its disk if it cannot save.",
            )
        ]
    except (NoConnection, NoAnswer, OSError) as error:
        return [Blocker(AWAY, f"The broker cannot be reached: {error}.", "Start it, or see RUNWORKER_BROKER_URL.")]
    if policy is not None and policy.startswith(_EVICTS_ANYTHING):
        return [
            Blocker(
                "broker-evicts",
                f"The broker's maxmemory-policy is {policy}: out of memory, it throws messages away.",
                "CONFIG SET maxmemory-policy noeviction, and in its configuration file.",
            )
        ]
    return []


def maxmemory_policy(client: Redis) -> str | None:
    """What the server throws away when it is full; None where this login may not see it, as with some providers."""
    asked: tuple[Any, ...] = (lambda: client.info("memory"), lambda: client.config_get("maxmemory-policy"))
    for ask, name in zip(asked, ("maxmemory_policy", "maxmemory-policy"), strict=True):
        try:
            told = ask().get(name)
        except ResponseError:
            continue
        if told is not None:
            return str(told)
    return None
