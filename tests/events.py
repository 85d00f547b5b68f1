"""What Flower and its like hear: the events of a crew's broker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.crew import Crew, eventually

Events = list[dict[str, Any]]


@contextmanager
def events_of(crew: Crew) -> Iterator[Events]:
    """All events from the moment at which the block begins; more are added while it lasts."""
    events: Events = []
    heard_before = crew.redis.pubsub_numpat()
    with crew.upstream.connection_for_read() as connection:
        receiver = crew.upstream.events.Receiver(connection, handlers={"*": events.append})
        thread = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
        thread.start()
        try:
            eventually(lambda: crew.redis.pubsub_numpat() > heard_before, "somebody to hear the events")
            yield events
        finally:
            receiver.should_stop = True
            thread.join()


def types_of(events: Events, task_id: str) -> list[str]:
    """What was told of one task, in order."""
    return [event["type"] for event in events if event.get("uuid") == task_id]
