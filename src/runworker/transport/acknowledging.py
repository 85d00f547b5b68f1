"""Messages in hand: acknowledged together, put back together, in the hash and sorted set that stock kombu keeps."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import structlog
from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import RedisError

from runworker.transport.envelopes import UNREADABLE, entry_item, entry_parts, redelivered
from runworker.transport.scripts import PUT_BACK

_log = structlog.get_logger(__name__)

_TOGETHER: Final = 500
"""Acknowledgements that are kept back at most."""

_BYTES_OF_A_MESSAGE: Final = 640
"""What the prefetch count reckons with. Whoever has less in number and more in bytes has enough in hand.

Twice the body of a single command. A message with many is worth as many, and waits for a worker that is free.
"""

_KEPT_BACK_SECONDS: Final = 1.0
"""A loop that has not come round for so long, busy or ended, is not waited for."""


class QoS(stock.QoS):
    """What a channel has in hand. Acknowledgements are kept back until the event loop comes round.

    Lost with the process or its connection they do no harm: the message comes again.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lock = threading.Lock()  # a pool of threads acknowledges in them
        self._acknowledged: list[str] = []
        self._flushed_at = monotonic()

    def append(self, message: Any, delivery_tag: str) -> None:
        """Take a message in hand. The broker has noted it already, when it gave it out."""
        virtual.QoS.append(self, message, delivery_tag)

    def can_consume(self) -> bool:
        """Whether there is room in the hand: for a message more, and for its bytes."""
        return super().can_consume() and self._bytes_in_hand() <= self.prefetch_count * _BYTES_OF_A_MESSAGE

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge, with the others of this turn of the loop."""
        self._quick_ack(delivery_tag)
        self.forget(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put back, or acknowledge what nobody wants."""
        if requeue:
            self.put_back([delivery_tag], leftmost=True)
            self._quick_ack(delivery_tag)
        else:
            self.ack(delivery_tag)

    def forget(self, delivery_tag: str) -> None:
        """Have the broker forget a message, now or when the loop comes round."""
        transport = self.channel.connection
        if transport is None:
            return  # closed; what was in hand went back then
        with self._lock:
            self._acknowledged.append(delivery_tag)
            together = len(self._acknowledged)
        loop = transport.loop
        if loop is None or together >= _TOGETHER or monotonic() - self._flushed_at >= _KEPT_BACK_SECONDS:
            self.flush()
        elif together == 1 and threading.get_ident() != transport.cycle.thread:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Tell the broker of what was acknowledged, in one round trip. Kept for the next time where it is away."""
        self._flushed_at = monotonic()
        if not self._acknowledged:
            return
        with self._lock:
            tags, self._acknowledged = self._acknowledged, []
        try:
            messages, index = self.channel.unacked
            with self.channel.server.pipeline(transaction=False) as pipe:
                pipe.hdel(messages, *tags).zrem(index, *tags).execute()
        except RedisError as error:
            _log.debug("transport.acknowledgement_postponed", messages=len(tags), error=str(error))
            with self._lock:
                self._acknowledged[:0] = tags

    def restore_unacked(self, client: object = None) -> None:
        """Put back all that is in hand, the oldest first in line."""
        self.flush()
        self.put_back(reversed(self._delivered))
        self._delivered.clear()

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Put back what anybody has had in hand for too long."""
        self.flush()
        super().restore_visible(*args, **options)

    def restore_by_tag(self, tag: str | bytes, client: object = None, leftmost: bool = False) -> None:
        """Put one message back."""
        self.put_back([tag], leftmost=leftmost)

    def put_back(self, tags: Iterable[str | bytes], *, leftmost: bool = False) -> None:
        """Put messages back into their queues, each unless somebody else has done so or acknowledged it.

        leftmost: behind all others, not before them.
        """
        wanted = list(tags)
        if not wanted or self.channel.connection is None:
            return  # a closed channel has put everything back already
        side = "LPUSH" if leftmost else "RPUSH"
        server, unacked = self.channel.server, self.channel.unacked
        with server.pipeline(transaction=False) as pipe:
            for tag, entry in zip(wanted, server.hmget(unacked[0], wanted), strict=True):
                lists = self._destinations(entry) if entry is not None else {}
                if lists is None:
                    _log.warning("transport.note_unreadable", tag=bytes_to_str(tag), entry=entry[:200])
                    continue  # nobody's work: what writes notes writes others
                pipe.eval(PUT_BACK, 2 + len(lists), *unacked, *lists, tag, side, *lists.values())
            pipe.execute()

    def _bytes_in_hand(self) -> int:
        if not self.prefetch_count:
            return 0  # no limit at all
        return sum(len(message.body) for tag, message in self._delivered.items() if tag not in self._dirty)

    def _destinations(self, entry: bytes) -> dict[str, bytes] | None:
        """Where what a note tells of goes back to: keys of lists, and what to put there. None for no note at all."""
        channel = self.channel
        try:
            message, exchange, routing_key = entry_parts(entry)
            item = redelivered(message)
            return {channel.list_of(queue, message): item for queue in channel._lookup(exchange, routing_key)}
        except RedisError:
            raise
        except Exception:  # an item of any kind may have been in a hand that died before it looked
            with suppress(ValueError):
                item, queue = entry_item(entry)
                return {channel.prefixed(queue + UNREADABLE): item}
            return None
