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
from runworker.tasks.requests import Request, Requeue, TaskResult, is_lost_process, requeue_of
from runworker.tasks.time_limits import limit_passed, shortest
from runworker.transport import AMONG_MANY

_log = structlog.get_logger(__name__)

_COMPANY: Final = 10
"""Commands of a batch of suspects at most."""

_TICK_SECONDS: Final = 0.001
"""Seconds to the event loop's next tick after a batch. Without it the loop would sleep on the acknowledgements."""


class _Batch:
    """Requests that are at work together.

    begun: whether a pool process has taken them. is_noted: whether the broker knows that nothing else is at work.
    """

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self.begun = False
        self.is_noted = False

    @property
    def is_suspect(self) -> bool:
        """Whether it is of requests that were lost with a process before."""
        return self.requests[0].deaths is not None


def noting_what_begins(send: Callable[[Request], None]) -> Callable[[Request], None]:
    """`send` for a worker that is its own pool, and does one request at a time."""

    def noting(request: Request) -> None:
        if request.deaths is None:
            send(request)
            return
        request.note_begun()
        send(request)
        request.note_ended()

    return noting


class Batches:
    """The requests of one worker that wait for their batch, and the batches at work: one a pool process at most.

    size: commands of a batch at most; a message that carries more is a batch by itself. Lives in the thread of the
    event loop. Requests that wait here are unacked: they may be forgotten at any moment, and come back to the queue.

    A suspect is a request that was lost with a process: it is in a batch of few such, and by itself once such a batch
    was lost. In a worker that is its own pool, nothing else is at work meanwhile.
    """

    def __init__(self, consumer: Any, intake: Intake, size: int) -> None:
        self._consumer = consumer
        self._intake = intake
        self.size = size
        self._waiting: deque[Request] = deque()
        self._suspects: list[Request] = []
        self._working: set[_Batch] = set()
        self._due = False

    def join(self, request: Request) -> None:
        """Take in a request that is due."""
        if not self._intake.is_open:  # fetched before it closed
            request.conclude(Requeue("the intake is closed"))
            return
        if request.deaths is None:
            self._waiting.append(request)
        else:
            self._suspects.append(request)
        self._begin_soon()

    def give_back(self) -> None:
        """Put back the requests that no pool process has begun: the intake is closed."""
        if self._intake.is_open:
            return  # again, by now
        waiting = [*self._suspects, *self._waiting]
        self._suspects.clear()
        self._waiting.clear()
        for request in waiting:
            request.conclude(Requeue("the intake is closed"))

    def forget(self) -> None:
        """Let go of requests that no pool process has begun: the connection is gone, the broker delivers them again."""
        self._waiting.clear()
        self._suspects.clear()
        self._working = {batch for batch in self._working if batch.begun}
        self._due = False

    def _begin_soon(self, *, after_acknowledging: bool = False) -> None:
        """Begin when the event loop has delivered all messages that it has. Without an event loop: now.

        after_acknowledging: a tick later, when the loop has acknowledged what was concluded in this one.
        """
        if self._consumer.hub is None:
            self._begin()
        elif not self._due:
            self._due = True
            soon = self._consumer.hub.call_soon
            soon(soon, self._begin) if after_acknowledging else soon(self._begin)

    def _begin(self) -> None:
        self._due = False
        if not (self._waiting or self._suspects):
            return  # they were forgotten: a loop that closes comes here as well, when the pool is gone
        state.maybe_shutdown()  # then no batch begins any more, and waiting requests go back
        while self._has_room() and (requests := self._next_suspects() or self._next()):
            self._start(requests)
            if requests[0].deaths is not None and not self._consumer.pool.uses_semaphore:
                break  # what it leaves to acknowledge goes out before anything else begins
        if self._consumer.hub is not None:
            _tick_soon(self._consumer.hub)

    def _has_room(self) -> bool:
        """Whether another batch may begin: a pool process is free, and none is alone in this one."""
        pool = self._consumer.pool
        if not pool.uses_semaphore and any(batch.is_suspect for batch in self._working):
            return False
        return len(self._working) < pool.num_processes

    def _next_suspects(self) -> list[Request]:
        """The suspect that has ended the fewest processes, so that innocent ones come first, and its company."""
        requests: list[Request] = []
        commands = 0
        if self._working and not self._consumer.pool.uses_semaphore:
            return requests
        for suspect in sorted(self._suspects, key=lambda request: request.deaths or 0):
            has_company = suspect.deaths == AMONG_MANY and commands + suspect.commands <= min(_COMPANY, self.size)
            if requests and not has_company:
                break
            self._suspects.remove(suspect)
            if suspect.revoked():
                continue
            requests.append(suspect)
            commands += suspect.commands
            if suspect.deaths != AMONG_MANY:
                break
        return requests

    def _next(self) -> list[Request]:
        """The requests of the next batch, in the order in which they came. Discards revoked and expired ones."""
        requests: list[Request] = []
        commands = 0
        if self._suspects and not self._consumer.pool.uses_semaphore:
            return requests  # the suspects first, one after the other
        while self._waiting and (not requests or commands + self._waiting[0].commands <= self.size):
            request = self._waiting.popleft()
            if not request.revoked():
                requests.append(request)
                commands += request.commands
        return requests

    def _start(self, requests: list[Request]) -> None:
        batch = _Batch(requests)
        if batch.is_suspect and not self._consumer.pool.uses_semaphore:
            requests[0].note_begun(*requests[1:])
            batch.is_noted = True
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

        They are suspects now. None was acknowledged.
        """
        together = len(batch.requests)
        company = together if batch.begun and (together > 1 or is_lost_process(error)) else 0
        left = [request for request in batch.requests if not request.is_over]
        if left:
            _log.warning("batch.lost", messages=len(left), error=str(error.exception))
        for request in left:
            if requeue_of(error) and together == 1:  # it alone is over its limit
                request.on_failure(error)
                continue
            state.active_requests.discard(request)
            request.count_death(company)
            if self._consumer.quarantine.is_due(request.message):
                state.task_ready(request)
                self._consumer.quarantine.take(request.message)
            else:
                state.task_reserved(request)
                self._suspects.append(request)
        self._leave(batch)

    def _leave(self, batch: _Batch) -> None:
        self._working.discard(batch)
        if batch.is_noted:
            batch.requests[0].note_ended()
        if self._waiting or self._suspects:
            self._begin_soon(after_acknowledging=batch.is_suspect)


def _tick_soon(hub: Any, *, again: bool = True) -> None:
    """Have the loop wait no longer than a moment. Twice, as the first may be over before the loop begins to wait."""
    hub.call_later(_TICK_SECONDS, partial(_tick_soon, hub, again=False) if again else _nothing)


def _nothing() -> None:
    return
