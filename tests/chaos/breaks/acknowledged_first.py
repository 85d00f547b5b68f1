"""Breaks the workers that import it: messages are acknowledged when their batch begins, before any commit."""

from typing import Any

from runworker.tasks.batches import Batches

_start = Batches._start


def _acknowledge_and_start(self: Batches, requests: list[Any]) -> None:
    for request in requests:
        request._message.ack()  # not `request.acknowledge`, which leaves it to the event loop's next tick
        request.acknowledged = True
    requests[0]._message.channel.flush()
    _start(self, requests)


Batches._start = _acknowledge_and_start
