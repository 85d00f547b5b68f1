"""The watch on the queues: up to when all messages that were sent have been looked at.

A command's time is up only where nothing that could have been its turn lies in a queue. The watch marks what the
broker holds at a moment: the newest message of each list, and the unacked ones. When all of it is gone, whatever was
sent by that moment has been taken and done with, or has come back to its list, because its worker died. The next mark
covers those. So what was sent by the time of a mark has been looked at once the mark after it is gone, too.

A message that goes back again and again, since somebody holds a lock that it needs, say, would slip through marks. Who
puts one back notes it in the broker, and while the note stays no watch goes on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kombu.connection import Connection
from sqlalchemy import func, select

from runworker.engine import Engine
from runworker.transport.returned import returned_key

NOTHING_SEEN: Final = datetime.fromtimestamp(0, UTC)

_NOW: Final = select(func.clock_timestamp())


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the broker held. at: by the database's clock, before it was looked at. newest: items by list."""

    at: datetime
    newest: Mapping[str, bytes]
    unacked: frozenset[bytes]


class QueueWatch:
    """Watches the queues of one worker. Knows nothing of a time when nobody watched.

    queues: those that the worker consumes at the moment. One that is cancelled is not waited for any more.
    comes_back: how long an unacked message may stay with a dead worker. One that is unacked for longer is held by a
    living one, which delivers it at a time that its sender chose.
    """

    def __init__(self, queues: Callable[[], Iterable[str]], comes_back: timedelta) -> None:
        self._queues = queues
        self._comes_back = comes_back
        self._mark: _Mark | None = None
        self._gone_at = NOTHING_SEEN
        self._seen_until = NOTHING_SEEN

    def seen_until(self, engine: Engine, broker: Connection) -> datetime:
        """Look. All that was sent by the time returned has been looked at. Raises the errors of both servers."""
        with engine.database.begin() as connection:
            now: datetime = connection.execute(_NOW).scalar_one()
        channel: Any = broker.default_channel
        if channel.client.exists(returned_key(channel)):
            self._gone_at, self._mark = self._seen_until, None
            return self._seen_until
        if self._mark is not None and self._is_gone(self._mark, channel, now):
            self._seen_until, self._gone_at, self._mark = self._gone_at, self._mark.at, None
        if self._mark is None:
            self._mark = self._marked(channel, now)
        return self._seen_until

    def _marked(self, channel: Any, now: datetime) -> _Mark:
        items = {name: channel.client.lindex(name, 0) for name in self._lists(channel)}
        newest = {name: item for name, item in items.items() if item is not None}
        return _Mark(now, newest, frozenset(channel.client.hkeys(_unacked(channel))))

    def _is_gone(self, mark: _Mark, channel: Any, now: datetime) -> bool:
        newest = [(name, mark.newest[name]) for name in self._lists(channel) if name in mark.newest]
        if any(channel.client.lpos(name, item) is not None for name, item in newest):
            return False
        held = mark.unacked.intersection(channel.client.hkeys(_unacked(channel)))
        return not held or now - mark.at > self._comes_back

    def _lists(self, channel: Any) -> list[str]:
        # A list for each priority. kombu adds its prefix to the names in some commands only.
        return [
            f"{channel.global_keyprefix}{channel._q_for_pri(queue, step)}"
            for queue in self._queues()
            for step in channel.priority_steps
        ]


def _unacked(channel: Any) -> str:
    return f"{channel.global_keyprefix}{channel.unacked_key}"
