"""A broker of a test's own, seen from both sides: as kombu's channel sees it, and as it is."""

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

import pytest
from kombu import Connection, Consumer, Queue
from kombu.transport.virtual import Channel
from redis import Redis
from tests.envelopes import message

from runworker.transport import UNREADABLE, reliable

QUEUE: Final = "celery"
UNREADABLE_LIST: Final = QUEUE + UNREADABLE

Open = Callable[..., Any]
"""Opens a channel. transport: `reliable` or `str`, for kombu's own. The rest are transport options."""


def sound(headers: dict[str, Any] | None = None, **properties: Any) -> bytes:
    """A message as Celery's client writes it."""
    return message({"idempotency_key": str(uuid4())}, headers=headers, properties=properties).content


def consumed(channel: Channel, count: int, *queues: str, no_ack: bool = False, prefetch: int = 0) -> list[Any]:
    """So many messages, as a consumer gets them."""
    found: list[Any] = []
    taken_from = [Queue(name) for name in queues or (QUEUE,)]
    with Consumer(channel, taken_from, on_message=found.append, no_ack=no_ack, prefetch_count=prefetch or None):
        while len(found) < count:
            channel.connection.client.drain_events(timeout=120)
    return found


@pytest.fixture
def redis(broker_url: str) -> Iterator[Redis]:
    """The broker as it is."""
    with Redis.from_url(broker_url) as client:
        yield client


@pytest.fixture
def open_channel(broker_url: str) -> Iterator[Open]:
    """Opens channels to the broker, each on a connection of its own."""
    connections: list[Connection] = []

    def opened(transport: Callable[[str], str] = reliable, url: str = broker_url, **options: Any) -> Channel:
        connections.append(Connection(transport(url), transport_options=options))
        return connections[-1].default_channel

    yield opened
    for connection in connections:
        connection.release()


@pytest.fixture
def channel(open_channel: Open) -> Any:
    """A channel of ours."""
    return open_channel()
