"""Batches and the event loop they live in."""

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery.worker import state
from kombu.asynchronous import Hub

from runworker.tasks.batches import Batches
from runworker.tasks.intake import Intake
from runworker.transport import AMONG_MANY, after_death


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
    batches = Batches(SimpleNamespace(hub=hub, pool=pool), intake, 100)
    batches.join(request)
    # Something else in the same tick takes longer than the moment after which the next tick was due.
    hub.call_later(0, time.sleep, 0.01)
    loop = hub.create_loop()
    next(loop)
    assert not acknowledged
    assert hub.poller.waited[-1] < 0.1
    next(loop)
    assert acknowledged


def test_what_was_due_at_a_shutdown_does_not_end_it_early(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop does what it has left when it closes, with the connection still open."""
    intake = Intake(lambda: ([], []))
    intake.is_open = True
    consumer = SimpleNamespace(hub=hub, pool=_Pool(uses_semaphore=True))
    batches = Batches(consumer, intake, 100)
    batches.join(_Message(deaths=None))  # type: ignore[arg-type]
    monkeypatch.setattr(state, "should_stop", 0)
    batches.forget()
    consumer.pool = None  # which ends before the loop
    hub.close()


class _Message(SimpleNamespace):
    """A request that is told what happens to it. deaths: of a suspect."""

    commands = 1
    id = "one of many"
    is_over = False
    time_limits = (None, None)
    message = property(lambda self: self)

    def revoked(self) -> bool:
        return False

    def pooled(self) -> object:
        return self

    def on_accepted(self, _pid: int, _at: float) -> None: ...

    def note_begun(self, *company: "_Message") -> None:
        self.noted = [self, *company]

    def note_ended(self) -> None:
        self.noted = []

    def count_death(self, company: int) -> None:
        self.deaths = after_death(self.deaths, company)

    def conclude(self, outcome: object) -> None: ...

    def __hash__(self) -> int:
        return id(self)


class _Pool:
    """Begins batches and leaves them at work until told. begun: their messages, and how each may end."""

    def __init__(self, *, uses_semaphore: bool) -> None:
        self.uses_semaphore = uses_semaphore
        self.num_processes = 2
        self.begun: list[tuple[list[Any], Any, Any]] = []

    def apply_async(self, _work: Any, args: Any, accept_callback: Any, **then: Any) -> None:
        accept_callback(1, 0.0)
        self.begun.append((args[0], then["callback"], then["error_callback"]))

    def dies(self) -> None:
        """The oldest batch's process ends with it."""
        _messages, _done, failed = self.begun.pop(0)
        failed(SimpleNamespace(exception=WorkerLostError("signal 9 (SIGKILL)")))

    def finishes(self) -> None:
        """The oldest batch is done."""
        messages, done, _failed = self.begun.pop(0)
        done([(0, "APPLIED", 0.1)] * len(messages))


class _Soon:
    """An event loop of what is to be done soon."""

    def __init__(self) -> None:
        self._todo: list[Any] = []

    def call_soon(self, callback: Any, *args: Any) -> None:
        self._todo.append((callback, args))

    def call_later(self, _seconds: float, _callback: Any) -> None: ...

    def run(self) -> None:
        while self._todo:
            callback, args = self._todo.pop(0)
            callback(*args)


def batches_on(pool: _Pool, *messages: _Message) -> tuple[_Soon, list[Any]]:
    """Batches of these messages. Returns the loop, and the messages that were put into quarantine after two deaths."""
    soon, quarantined = _Soon(), []
    intake = Intake(lambda: ([], []))
    intake.is_open = True
    quarantine = SimpleNamespace(is_due=lambda message: message.deaths >= 2, take=quarantined.append)
    batches = Batches(SimpleNamespace(hub=soon, pool=pool, quarantine=quarantine), intake, 100)
    for message in messages:
        batches.join(message)  # type: ignore[arg-type]
    soon.run()
    return soon, quarantined


def test_suspects_are_batches_of_one_and_the_innocent_first() -> None:
    """In a pool of threads nothing else is at work meanwhile, and the broker knows which one is."""
    pool = _Pool(uses_semaphore=False)
    guilty, new, innocent, other = (_Message(deaths=deaths) for deaths in (1, None, 0, None))
    soon, _ = batches_on(pool, guilty, new, innocent, other)
    for suspect in (innocent, guilty):
        ((messages, *_),) = pool.begun
        assert messages == [suspect]
        assert suspect.noted == [suspect]
        pool.finishes()
        assert not suspect.noted
        soon.run()
    assert [messages for messages, *_ in pool.begun] == [[new, other]]


def test_suspects_of_many_are_batches_of_ten_before_all_others() -> None:
    pool = _Pool(uses_semaphore=False)
    guilty, new, *many = (_Message(deaths=deaths) for deaths in (0, None, *[AMONG_MANY] * 12))
    soon, _ = batches_on(pool, guilty, new, *many)
    for suspects in (many[:10], many[10:], [guilty]):
        ((messages, *_),) = pool.begun
        assert messages == messages[0].noted == suspects
        pool.finishes()
        soon.run()
    assert [messages for messages, *_ in pool.begun] == [[new]]


def test_only_a_death_alone_counts() -> None:
    pool = _Pool(uses_semaphore=True)
    first, second = _Message(deaths=None), _Message(deaths=None)
    soon, quarantined = batches_on(pool, first, second)
    pool.dies()
    soon.run()
    assert [messages for messages, *_ in pool.begun] == [[first, second]]
    assert (first.deaths, second.deaths) == (AMONG_MANY, AMONG_MANY)
    pool.dies()
    soon.run()
    assert [messages for messages, *_ in pool.begun] == [[first], [second]]
    assert (first.deaths, second.deaths) == (0, 0)
    for _ in range(2):
        pool.begun.sort(key=lambda batch: batch[0] != [first])
        pool.dies()
        soon.run()
    assert (quarantined, first.deaths, second.deaths) == ([first], 2, 0)
    assert [messages for messages, *_ in pool.begun] == [[second]]
