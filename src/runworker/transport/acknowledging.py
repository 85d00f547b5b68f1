"""Unacked messages: acknowledged together, put back together, in the hash and sorted set that stock kombu keeps."""

import json
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import structlog
from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import RedisError, ResponseError

from runworker.transport.envelopes import UNREADABLE, entry_item, entry_parts, redelivered
from runworker.transport.returned import NOTED_SECONDS, returned_key
from runworker.transport.scripts import NOTE, OVERDUE, PUT_BACK

_log = structlog.get_logger(__name__)

_TOGETHER: Final = 500
"""Most acknowledgements that a channel keeps back."""

_BYTES_OF_A_MESSAGE: Final = 640
"""Bytes of a body that count as one message: few large messages fill the prefetch count as many small ones do.

Twice the body of a single command. A message with many is worth as many, and waits for a worker that is free.
"""

_NOTED_SECONDS: Final = 3600
"""Seconds after which a note of what was begun is forgotten. No command takes as long, and no lost one stays so."""

_KEPT_BACK_SECONDS: Final = 1.0
"""An acknowledgement does not wait longer than this for the loop's next tick: the loop may be busy, or have ended."""


class QoS(stock.QoS):
    """A channel's unacked messages. Their acknowledgements are sent together, at the event loop's next tick.

    An acknowledgement that is lost with the process or its connection does no harm: the message comes again.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lock = threading.Lock()  # the threads of a pool acknowledge too
        self._acknowledged: list[str] = []
        self._deaths: dict[str, int] = {}
        self._flushed_at = monotonic()

    def append(self, message: Any, delivery_tag: str) -> None:
        """Count a message as unacked. The broker has entered it in `unacked` already, when it gave it out."""
        virtual.QoS.append(self, message, delivery_tag)

    def can_consume(self) -> bool:
        """Whether the prefetch count leaves room for another message, in number and in bytes."""
        return super().can_consume() and self._unacked_bytes() <= self.prefetch_count * _BYTES_OF_A_MESSAGE

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, with the others of this tick."""
        self._quick_ack(delivery_tag)
        self.forget(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put a message back where `requeue` asks for it, else acknowledge it."""
        if requeue:
            self.put_back([delivery_tag], leftmost=True)
            self._quick_ack(delivery_tag)
        else:
            self.ack(delivery_tag)

    def count_deaths(self, delivery_tag: str, deaths: int) -> None:
        """Have a message tell, should it go back, how many processes have ended while they did it alone."""
        self._deaths[delivery_tag] = deaths

    def note_begun(self, delivery_tags: Sequence[str]) -> None:
        """Note in the broker that this process does these messages now, and nothing else. Raises RedisError.

        Should one of them end the process, others know which it may be. What is done already is acknowledged before.
        """
        self.flush()
        note = self.channel.note_of(self.channel.holder)
        self.channel.server.eval(NOTE, 1, note, json.dumps(delivery_tags), _NOTED_SECONDS)

    def note_ended(self) -> None:
        """Take the note back: the process has outlived them, and they may stay unacked while others are at work."""
        with suppress(RedisError):
            self.channel.server.delete(self.channel.note_of(self.channel.holder))

    def forget(self, delivery_tag: str) -> None:
        """Have the broker forget a message, now or at the next tick."""
        self._deaths.pop(delivery_tag, None)
        transport = self.channel.connection
        if transport is None:
            return  # closed; its unacked messages went back then
        with self._lock:
            self._acknowledged.append(delivery_tag)
            together = len(self._acknowledged)
        loop = transport.loop
        if loop is None or together >= _TOGETHER or monotonic() - self._flushed_at >= _KEPT_BACK_SECONDS:
            self.flush()
        elif together == 1 and threading.get_ident() != transport.cycle.thread:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send the kept acknowledgements in one round trip. While the broker is away they wait for the next flush."""
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
        """Put back all unacked messages, the oldest first in line."""
        self.flush()
        self.put_back(reversed(self._delivered))
        self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 10) -> None:
        """Put back the messages, of any worker, that have been unacked for too long, at every `interval`th call.

        Unlike kombu's, by the server's clock and without a lock: two workers that try put a message back once.
        """
        self.flush()
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        try:
            found = self.channel.server.eval(OVERDUE, 1, self.channel.unacked[1], self.visibility_timeout)
            overdue = dict(zip(found[::2], found[1::2], strict=True))
            self.put_back(overdue, lost=[tag for tag, time in overdue.items() if float(time) == 0])
        except ResponseError as error:  # a server that refuses this refuses a fetch too, which has the worker pause
            _log.debug("transport.restoring_postponed", error=str(error))

    def restore_by_tag(self, tag: str | bytes, client: object = None, leftmost: bool = False) -> None:
        """Put one message back."""
        self.put_back([tag], leftmost=leftmost)

    def put_back(
        self, tags: Iterable[str | bytes], *, leftmost: bool = False, lost: Sequence[str | bytes] = ()
    ) -> None:
        """Put messages back into their queues, each unless another process has put it back or acknowledged it.

        leftmost: behind all others, not before them. lost: those that were lost with the process that had them.
        """
        wanted = list(tags)
        if not wanted or self.channel.connection is None:
            return  # a closed channel has put everything back already
        side = "LPUSH" if leftmost else "RPUSH"
        server, unacked = self.channel.server, self.channel.unacked
        companies = self._companies(lost)
        with server.pipeline(transaction=False) as pipe:
            pipe.eval(NOTE, 1, returned_key(self.channel), "1", NOTED_SECONDS)
            for tag, entry in zip(wanted, server.hmget(unacked[0], wanted), strict=True):
                marks = self._deaths.pop(bytes_to_str(tag), None), companies.get(tag)
                lists = self._destinations(entry, *marks) if entry is not None else {}
                if lists is None:
                    _log.warning("transport.entry_unreadable", tag=bytes_to_str(tag), entry=entry[:200])
                    continue  # left alone: no Celery worker writes such an entry
                pipe.eval(PUT_BACK, 2 + len(lists), *unacked, *lists, tag, side, *lists.values())
            pipe.execute()

    def _companies(self, lost: Sequence[str | bytes]) -> dict[str | bytes, int]:
        """Of messages that were lost with their processes, how many were done with each, itself among them."""
        holders = [bytes_to_str(tag).rpartition(".")[0].rpartition(".")[0] for tag in lost]
        notes = self.channel.server.mget([self.channel.note_of(holder) for holder in holders]) if holders else []
        noted = [_noted_tags(note) for note in notes]
        return {tag: len(tags) if bytes_to_str(tag) in tags else 0 for tag, tags in zip(lost, noted, strict=True)}

    def _unacked_bytes(self) -> int:
        if not self.prefetch_count:
            return 0  # no limit at all
        return sum(len(message.body) for tag, message in self._delivered.items() if tag not in self._dirty)

    def _destinations(self, entry: bytes, deaths: int | None, company: int | None) -> dict[str, bytes] | None:
        """The lists that an unacked entry goes back to, by key, with the item to push. None for an unreadable entry."""
        channel = self.channel
        try:
            message, exchange, routing_key = entry_parts(entry)
            item = redelivered(message, deaths, company)
            return {channel.list_of(queue, message): item for queue in channel._lookup(exchange, routing_key)}
        except RedisError:
            raise
        except Exception:  # a worker may die with an item of any kind before it reads it
            with suppress(ValueError):
                item, queue = entry_item(entry)
                return {channel.prefixed(queue + UNREADABLE): item}
            return None


def _noted_tags(note: bytes | None) -> list[str]:
    try:
        return list(json.loads(note or "[]"))
    except ValueError:
        return [bytes_to_str(note)]  # an older build notes one, as it is
