"""Dead letters out of the broker: items that the transport found to be no message."""

from typing import Any, Final

import structlog
from kombu.connection import Connection
from sqlalchemy import text

from runworker.codes import Code
from runworker.engine import Engine
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.errors import Blocked
from runworker.transport import UNREADABLE

_log = structlog.get_logger(__name__)

_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(:key)").bindparams(key=int.from_bytes(b"runwread"))

_MOST: Final = 500
"""Items of one round at most: its transaction stays open meanwhile, and has nothing to do but hold the lock."""

_MOST_LEFT: Final = 20
"""Items that one round leaves at most: somebody holds the rows of letters that are the same."""


def collect_unreadable(engine: Engine, broker: Connection, queue: str) -> None:
    """Move some items of a queue's unreadable list into dead_letters. Each is removed only when it is kept.

    Only one worker does so at a time, or an item that two have read would count as two. Raises Unavailable, and the
    errors of SQLAlchemy, redis and kombu.
    """
    # Not its default channel, for which kombu would wait until the broker is back.
    channel: Any = broker.channel()  # type: ignore[no-untyped-call] # kombu has no types
    unreadable = f"{channel.global_keyprefix}{queue}{UNREADABLE}"  # kombu adds the prefix to other commands
    if not channel.client.llen(unreadable):
        return
    with engine.database.begin() as connection:
        if connection.execute(_LOCK).scalar_one():
            _collect(engine, channel.client, unreadable, queue)


def _collect(engine: Engine, client: Any, unreadable: str, queue: str) -> None:
    left = 0
    for _ in range(_MOST):
        if left == _MOST_LEFT or (item := client.lindex(unreadable, -1 - left)) is None:
            return
        letter = NewDeadLetter(
            raw_body=item,
            code=Code.MALFORMED_MESSAGE,
            error="the queue's item is no Celery message; expected a JSON object with body and properties",
            headers={"queue": queue},
        )
        try:
            kept = engine.keep(letter)
        except Blocked as error:
            _log.warning("dead_letter.postponed", code=str(letter.code), task_id=None, error=str(error))
            left += 1
            continue
        client.lrem(unreadable, -1, item)
        _log.warning("dead_letter.kept", dead_letter=kept, code=str(Code.MALFORMED_MESSAGE))
