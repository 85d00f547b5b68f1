"""Celery's events, which are for whoever watches: no work waits for them.

Celery's heartbeat tries without end to publish itself, in the worker's event loop, and whatever else cannot be
published is kept and tried again, event by event. On a wire that is cut the worker stands still over it, silently.
"""

from contextlib import nullcontext, suppress
from typing import Any

from celery.app import events as stock
from celery.events.dispatcher import EventDispatcher


class Dispatcher(EventDispatcher):
    """Publishes events once. The error of one that cannot be published ends the worker's connection, as any other."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"buffer_while_offline": False})

    def send(self, type: str, *args: Any, **options: Any) -> Any:
        """Publish an event, or keep it with others that are published together. Nobody need hear the farewell."""
        with suppress(Exception) if type == "worker-offline" else nullcontext():
            return super().send(type, *args, **options | {"retry": False})


class CeleryEvents(stock.Events):
    """Celery's events with this dispatcher."""

    dispatcher_cls = f"{__name__}:Dispatcher"
