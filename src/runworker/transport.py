"""kombu's Redis transport, with one hole closed: an item that is no message.

Stock kombu pops a list item and lets the parser's error end the worker; the item is gone. Here it is put aside, as it
came, in the list `<queue>.unreadable`, and the worker goes on. The upkeep step moves it to dead_letters from there.
"""

from collections.abc import Mapping
from queue import Empty
from typing import Any, Final
from uuid import uuid4

from kombu.transport import redis as stock
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

UNREADABLE: Final = ".unreadable"
"""What is added to a queue's name for the list of its unreadable items."""

_LEVELS: Final = 8
"""How deep an envelope may nest. Celery's own go to three; at some hundred Python's recursion ends."""


def is_deeper(value: object, levels: int) -> bool:
    """Whether JSON nests deeper than so many levels. Does not recurse itself."""
    layer = [value]
    for _ in range(levels + 1):
        inner = [each.values() if isinstance(each, dict) else each for each in layer if isinstance(each, dict | list)]
        if not inner:
            return False
        layer = [part for parts in inner for part in parts]
    return True


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
            if (message := self._opened(queue, reply[1])) is None:
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
                while (item := client.rpop(self._q_for_pri(queue, priority))) is not None:
                    if (message := self._opened(queue, item)) is not None:
                        return message
                    self._put_aside(queue, item)
        raise Empty

    def _opened(self, queue: str, item: bytes) -> dict[str, Any] | None:
        """The message in an item, or None where it is not what a Celery client writes.

        Tag and address are written anew. The sender's are not to be trusted: a tag used twice would hide one message
        behind another, and a message that is put back goes to its address, be there a queue or not.
        """
        try:
            message = loads(item)
            properties, headers, body = message["properties"], message["headers"], message["body"]
            self.decode_body(body, properties.get("body_encoding"))
            readable = isinstance(headers, Mapping) and isinstance(body, str) and not is_deeper(message, _LEVELS)
            address = {**properties.get("delivery_info", {}), "exchange": "", "routing_key": queue}
        except Exception:  # kombu's decoders raise whatever an item makes them raise
            return None
        if not readable:
            return None
        properties |= {"delivery_tag": str(uuid4()), "delivery_info": address}
        return message

    def _put_aside(self, queue: str, item: bytes) -> None:
        with self.conn_or_acquire() as client:
            client.lpush(queue + UNREADABLE, item)


class Transport(stock.Transport):
    """Stock in all but the channel: same keys, same formats, any Celery client beside it."""

    Channel = Channel
