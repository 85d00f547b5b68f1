"""Sending: what a sender gets to see of a broker that does not take a message."""

from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel

from runworker.sending import ClientApp

URL = "redis://127.0.0.1:1/0"


def test_a_channel_that_a_refusal_has_closed_is_no_fault_of_the_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Channel.__new__(Channel)
    closed.connection = None
    monkeypatch.setattr(Celery, "send_task", lambda *_args, **_options: closed._connparams())

    with pytest.raises(OperationalError, match="the broker refused"):
        ClientApp(URL, URL, "mymaster").send_task("runworker.start_run")


def test_a_fault_of_the_senders_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_args: Any, **_options: Any) -> Any:
        return None.queue  # type: ignore[attr-defined]

    monkeypatch.setattr(Celery, "send_task", send)

    with pytest.raises(AttributeError):
        ClientApp(URL, URL, "mymaster").send_task("runworker.start_run")
