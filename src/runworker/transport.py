"""kombu's Redis transport, with one hole closed: an item that is no message.

Stock kombu pops a list item and lets the parser's error end the worker; the item is gone. Here it is put aside, as it
came, in the list `<queue>.unreadable`, and the worker goes on. The upkeep step moves it to dead_letters from there.
"""

from collections.abc import Mapping
from queue import Empty
from typing import Any

from kombu.transport import redis as stock
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

UNREADABLE = ".unreadable"
"""What is added to a queue's name for the list of its unreadable items."""


def _envelope(item: bytes) -> dict[str, Any] | None:
    """The message in a list item, or None where it is not what a Celery client writes."""
    try:
        message = loads(bytes_to_str(item))
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("properties"), Mapping):
        return None
    properties = message["properties"]
    tagged = isinstance(properties.get("delivery_tag"), str) and isinstance(properties.get("delivery_info"), Mapping)
    described = isinstance(message.get("headers"), Mapping) and isinstance(message.get("body"), str)
    return message if tagged and described else None


class Channel(stock.Channel):
    """A channel that puts unreadable items aside."""

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                reply = self.client.parse_response(self.client.connection, "BRPOP", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            if not reply:
                raise Empty
            queue = bytes_to_str(reply[0]).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            if (message := _envelope(reply[1])) is None:
                self._put_aside(queue, reply[1])
            else:
                self.connection._deliver(message, queue)
            return True
        finally:
            self._in_poll = None  # type: ignore[assignment] # as stock does
            self._flush_brpop_reauth()

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        with self.conn_or_acquire() as client:
            for priority in self.priority_steps:
                item = client.rpop(self._q_for_pri(queue, priority))
                if item is None:
                    continue
                if (message := _envelope(item)) is not None:
                    return message
                self._put_aside(queue, item)
        raise Empty

    def _put_aside(self, queue: str, item: bytes) -> None:
        with self.conn_or_acquire() as client:
            client.lpush(queue.removeprefix(self.global_keyprefix) + UNREADABLE, item)


class Transport(stock.Transport):
    """Stock in all but the channel: same keys, same formats, any Celery client beside it."""

    Channel = Channel
