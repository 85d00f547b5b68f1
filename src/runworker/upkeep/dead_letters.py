"""Dead letters out of the broker: items that the transport found to be no message."""

from typing import Any

import structlog
from kombu.connection import Connection

from runworker.codes import Code
from runworker.engine import Engine
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.transport import UNREADABLE

_log = structlog.get_logger(__name__)


def collect_unreadable(engine: Engine, broker: Connection, queue: str) -> None:
    """Move the items of a queue's unreadable list into dead_letters. Each is removed only when it is kept.

    Raises Unavailable, and the errors of redis and kombu.
    """
    channel: Any = broker.default_channel
    client = channel.client
    unreadable = f"{channel.global_keyprefix}{queue}{UNREADABLE}"  # kombu adds the prefix to other commands
    while (item := client.lindex(unreadable, -1)) is not None:
        kept = engine.keep(
            NewDeadLetter(
                raw_body=item,
                code=Code.MALFORMED_MESSAGE,
                error="the queue's item is no Celery message; expected a JSON object with body and properties",
                headers={"queue": queue},
            )
        )
        client.lrem(unreadable, -1, item)
        _log.warning("dead_letter.kept", dead_letter=kept, code=str(Code.MALFORMED_MESSAGE))
