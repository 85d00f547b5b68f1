"""Requests that go back after a pause, with the event loop they live in."""

from types import SimpleNamespace
from typing import Any

import pytest

from runworker.tasks import requests
from runworker.tasks.requests import Request, Requeue


def test_the_event_loop_does_not_sleep_through_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solo worker handles others meanwhile."""
    later: list[tuple[float, Any, Any]] = []
    hub = SimpleNamespace(call_later=lambda seconds, callback, *args: later.append((seconds, callback, args)))
    monkeypatch.setattr(requests, "get_event_loop", lambda: hub)
    monkeypatch.setattr(requests.time, "sleep", lambda seconds: pytest.fail(f"slept for {seconds} s"))
    rejected: list[bool] = []
    request = SimpleNamespace(_return=lambda: rejected.append(True))
    Request._put_back(request, Requeue("somebody holds it", pause_seconds=2))  # type: ignore[arg-type]
    assert not rejected
    ((seconds, callback, args),) = later
    callback(*args)
    assert (seconds, rejected) == (2, [True])
