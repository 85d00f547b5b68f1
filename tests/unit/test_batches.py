"""Batches and the event loop they live in."""

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous import Hub

from runworker.tasks.batches import Batches
from runworker.tasks.intake import Intake


class _Poller:
    """Is told how long to wait, and waits for nothing."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def poll(self, seconds: float) -> list[Any]:
        self.waited.append(seconds)
        return []

    def register(self, _fd: int, _events: int) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An event loop that has a socket to wait for."""
    readable, writable = os.pipe()
    hub = Hub()
    hub.poller = _Poller()
    hub.add_reader(readable, lambda: None)
    yield hub
    hub.close()
    for fd in (readable, writable):
        os.close(fd)


def test_the_loop_does_not_sleep_on_what_a_batch_leaves_to_do(hub: Hub) -> None:
    acknowledged: list[bool] = []

    def apply_async(*_args: Any, callback: Any, **_options: Any) -> None:  # as in a solo worker: done at once
        callback([(0, "APPLIED", 0.1)])

    def conclude(_outcome: object) -> None:
        hub.call_soon(acknowledged.append, True)  # as Celery's requests do

    request = SimpleNamespace(
        deaths=None,
        time_limits=(None, None),
        commands=1,
        revoked=lambda: False,
        pooled=lambda: None,
        conclude=conclude,
    )
    pool = SimpleNamespace(num_processes=1, uses_semaphore=False, apply_async=apply_async)
    intake = Intake(lambda: ([], []))
    intake.is_open = True
    batches = Batches(SimpleNamespace(hub=hub, pool=pool), intake, 100, send_alone=lambda _request: None)
    batches.join(request)
    # Something else in the same tick takes longer than the moment after which the next tick was due.
    hub.call_later(0, time.sleep, 0.01)
    loop = hub.create_loop()
    next(loop)
    assert not acknowledged
    assert hub.poller.waited[-1] < 0.1
    next(loop)
    assert acknowledged
