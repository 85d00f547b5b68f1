"""Batches: requests that wait are applied together, in one transaction, as soon as a pool process is free.

There is no timer and no size to be reached. While one batch is at work the next one gathers: of one message where there
is little to do, of `RUNWORKER_BATCH_SIZE` commands where there is much.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog
from billiard.einfo import ExceptionInfo
from celery.worker import state

from runworker.tasks.batch_work import apply_together
from runworker.tasks.intake import Intake
from runworker.tasks.requests import Request, Requeue, TaskResult
from runworker.tasks.time_limits import limit_passed, shortest

_log = structlog.get_logger(__name__)

_TICK_SECONDS: Final = 0.001
"""Seconds to the event loop's next tick after a batch. Without it the loop would sleep on the acknowledgements."""


class _Batch:
    """Requests that are at work together. begun: whether a pool process has taken them."""

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self.begun = False


class Batches:
    """The requests of one worker that wait for their batch, and the batches at work: one a pool process at most.

    size: commands of a batch at most; a message that carries more is a batch by itself. send_alone: the way of one
    request to the pool. Lives in the thread of the event loop. Requests that wait here are unacked: they may be
    forgotten at any moment, and come back to the queue.
    """

    def __init__(self, consumer: Any, intake: Intake, size: int, send_alone: Callable[[Request], None]) -> None:
        self._consumer = consumer
        self._intake = intake
        self.size = size
        self._send_alone = send_alone
        self._waiting: deque[Request] = deque()
        self._working: set[_Batch] = set()
        self._due = False

    def join(self, request: Request) -> None:
        """Take in a request that is due."""
        if not self._intake.is_open:  # fetched before it closed
            request.conclude(Requeue("the intake is closed"))
            return
        if request.has_time_limits:
            self._send_alone(request)
            return
        self._waiting.append(request)
        self._begin_soon()

    def give_back(self) -> None:
        """Put back the requests that no pool process has begun: the intake is closed."""
        if self._intake.is_open:
            return  # again, by now
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            request.conclude(Requeue("the intake is closed"))

    def forget(self) -> None:
        """Let go of requests that no pool process has begun: the connection is gone, the broker delivers them again."""
        self._waiting.clear()
        self._working = {batch for batch in self._working if batch.begun}
        self._due = False

    def _begin_soon(self) -> None:
        """Begin when the event loop has delivered all messages that it has. Without an event loop: now."""
        if self._consumer.hub is None:
            self._begin()
        elif not self._due:
            self._due = True
            self._consumer.hub.call_soon(self._begin)

    def _begin(self) -> None:
        self._due = False
        state.maybe_shutdown()  # then no batch begins any more, and waiting requests go back
        while self._waiting and len(self._working) < self._consumer.pool.num_processes:
            if requests := self._next():
                self._start(requests)
        if self._consumer.hub is not None:
            _tick_soon(self._consumer.hub)

    def _next(self) -> list[Request]:
        """The requests of the next batch, in the order in which they came. Discards revoked and expired ones."""
        requests: list[Request] = []
        commands = 0
        while self._waiting and (not requests or commands + self._waiting[0].commands <= self.size):
            request = self._waiting.popleft()
            if not request.revoked():
                requests.append(request)
                commands += request.commands
        return requests

    def _start(self, requests: list[Request]) -> None:
        batch = _Batch(requests)
        self._working.add(batch)
        hard, soft = shortest(request.time_limits for request in requests)
        self._consumer.pool.apply_async(
            apply_together,
            args=([request.pooled() for request in requests],),
            accept_callback=partial(self._accepted, batch),
            callback=partial(self._done, batch),
            error_callback=partial(self._failed, batch),
            timeout_callback=partial(self._timed_out, batch),
            timeout=hard,
            soft_timeout=soft,
        )

    def _accepted(self, batch: _Batch, pid: int, at: float) -> None:
        batch.begun = True
        for request in batch.requests:
            request.on_accepted(pid, at)

    def _done(self, batch: _Batch, outcomes: list[TaskResult] | ExceptionInfo) -> None:
        if isinstance(outcomes, ExceptionInfo):  # pools without processes tell of an interruption so
            self._failed(batch, outcomes)
            return
        self._tell_intake(outcomes)
        self._leave(batch)
        for request, outcome in zip(batch.requests, outcomes, strict=True):
            request.conclude(outcome)

    def _tell_intake(self, outcomes: list[TaskResult]) -> None:
        failures = [outcome for outcome in outcomes if isinstance(outcome, Requeue) and outcome.servers_failed]
        if failures:
            self._intake.fail(failures[0].reason)
        else:
            self._intake.succeed()

    def _timed_out(self, batch: _Batch, soft: bool, seconds: float) -> None:
        """Of green threads, a batch that is over its limit ends with this alone."""
        if not soft and batch in self._working:
            self._failed(batch, limit_passed(seconds))

    def _failed(self, batch: _Batch, error: ExceptionInfo) -> None:
        """The pool process is gone: killed, out of memory, over its time limit. One message may have done that.

        Each goes to the pool by itself now, the standard way. None was acknowledged.
        """
        self._leave(batch)
        left = [request for request in batch.requests if not request.is_over]
        if left:
            _log.warning("batch.lost", messages=len(left), error=str(error.exception))
        for request in left:
            state.active_requests.discard(request)
            state.task_reserved(request)
            self._send_alone(request)

    def _leave(self, batch: _Batch) -> None:
        self._working.discard(batch)
        if self._waiting:
            self._begin_soon()


def _tick_soon(hub: Any, *, again: bool = True) -> None:
    """Have the loop wait no longer than a moment. Twice, as the first may be over before the loop begins to wait."""
    hub.call_later(_TICK_SECONDS, partial(_tick_soon, hub, again=False) if again else _nothing)


def _nothing() -> None:
    return
