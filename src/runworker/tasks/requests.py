"""Celery's request for a task, which a batch packs for the pool and gives its outcome."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import structlog
from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, WorkerLostError
from celery import signals
from celery.app.task import Context
from celery.exceptions import Reject, TaskPredicate
from celery.worker import state
from celery.worker.request import Request as StockRequest
from kombu.asynchronous import get_event_loop
from redis.exceptions import RedisError

from runworker.errors import Blocked
from runworker.tasks.time_limits import Limits, Overdue, is_time_limit, limit_passed
from runworker.transport import DEATHS, after_death, deaths_of
from runworker.transport.returned import note_returned

_log = structlog.get_logger(__name__)

DROPPED: Final = "runworker_dropped"
"""The part of a request that says why its message is not applied: "expired" or "revoked", else None."""

_SHADOWING: Final = frozenset(
    name for name, part in vars(Context).items() if callable(part) or isinstance(part, property) or name[0] == "_"
)
"""Headers that would take the place of methods of Celery's request."""

_NO_FAILURE: Final = (TaskPredicate, Terminated, WorkerLostError, SystemExit, KeyboardInterrupt, MemoryError)
"""What ends a task, or its process, without its having failed: the message goes back, or an operator has ended it."""


class PooledRequest(NamedTuple):
    """A request as it goes to the pool.

    context: Celery's parts of the message. embed: callbacks, chain and chord. ignored: the sender wants no result.
    """

    name: str
    task_id: str
    args: list[Any]
    fields: dict[str, Any]
    context: dict[str, Any]
    embed: dict[str, Any] | None
    ignored: bool

    @property
    def is_plain(self) -> bool:
        """Whether the command is all there is to do: it is to be applied, and no callback, chain or chord follows."""
        return not (any((self.embed or {}).values()) or self.context.get(DROPPED))


class Requeue(NamedTuple):
    """The outcome of a message that goes back to its queue, and why.

    servers_failed: whether PostgreSQL failed, and would fail other messages as well. pause_seconds: not before.
    is_overdue: whether its process was ended over a time limit, and could not tell of it.
    """

    reason: str
    servers_failed: bool = False
    pause_seconds: float = 0.0
    is_overdue: bool = False

    @classmethod
    def after(cls, error: BaseException) -> "Requeue":
        """For a message whose work this error ended."""
        if isinstance(error, Blocked):
            return cls(str(error), pause_seconds=error.pause_seconds)
        if isinstance(error, Overdue):
            return cls(str(error))
        return cls(str(error), servers_failed=True)


def is_lost_process(failed: Any) -> bool:
    """Whether the pool's process has died with its task, and nobody told it to. failed: the task's ExceptionInfo."""
    error = _error_in(failed)
    ends = state.should_stop is not None or state.should_terminate is not None
    return isinstance(error, WorkerLostError | SystemExit) and not ends


TaskResult = tuple[int, Any, float] | Requeue
"""A task's end as Celery's tracer tells it (failed, result as text or exception, seconds), or that it goes back."""


def requeue_of(failed: Any) -> Requeue | None:
    """How a message goes back whose task ended so; None where the task failed. failed: its ExceptionInfo."""
    error = _error_in(failed)
    if is_time_limit(error):
        return Requeue(f"over the time limit of {error.args[0]} s" if error.args else str(Overdue()), is_overdue=True)
    return error.reason if isinstance(error, Reject) and isinstance(error.reason, Requeue) else None


def _error_in(failed: Any) -> BaseException:
    error = failed.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


class Request(StockRequest):
    """A request that can be part of a batch.

    One that is past its `expires`, or that an operator revoked, goes to the pool as well, to be answered.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in _SHADOWING & self.request_dict.keys():
            del self.request_dict[name]
        self.request_dict[DROPPED] = None

    @property
    def dropped(self) -> str | None:
        """Why the message is not to be applied."""
        return self.request_dict[DROPPED]

    def maybe_expire(self) -> bool:
        """Whether its time is up, by PostgreSQL's clock: a worker's own may be wrong.

        Celery would discard all later messages of the task id too, for hours.
        """
        if self.expires is None:
            return False
        now: datetime = datetime.now(UTC) + self._app.servers.clock_behind
        return now > self.expires.astimezone(UTC)

    def revoked(self) -> bool:
        """Whether it was ended, with its process. One that is merely revoked or expired still has to be answered."""
        return self._already_revoked or (not self.dropped and super().revoked() and not self.dropped)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        if terminated:
            super()._announce_revoked(reason, terminated, signum, expired)
        else:
            self.request_dict[DROPPED] = reason
            self._eta = None  # to be answered now

    @property
    def commands(self) -> int:
        """How many commands the message carries, for all that can be seen from outside."""
        many = self.kwargs.get("commands") if self.type == "runworker.apply" else None
        return max(len(many), 1) if isinstance(many, list) else 1

    @property
    def time_limits(self) -> Limits:
        """The limits that the task has now: `control time_limit` changes them."""
        return self.task.time_limit, self.task.soft_time_limit

    @time_limits.setter
    def time_limits(self, _of_message: Limits) -> None:
        """No sender ends a process of the pool: PostgreSQL's timeouts bound the work."""

    @property
    def deaths(self) -> int | None:
        """How many processes have ended while they did it alone, or what else `transport.deaths_of` tells."""
        return deaths_of(self.message.headers)

    def count_death(self, company: int) -> None:
        """Note that it was lost with a process of the pool. company: how many messages that was doing, or 0."""
        self.message.headers[DEATHS] = deaths = after_death(self.deaths, company)
        if hasattr(self.message.channel.qos, "count_deaths"):  # of our transport
            self.message.channel.qos.count_deaths(self.message.delivery_tag, deaths)

    def note_begun(self, *company: "Request") -> None:
        """Tell the broker that this process does it now, with its company alone: it may not live to tell.

        kombu's own transport has no place for that. Raises RedisError.
        """
        if hasattr(self.message.channel.qos, "note_begun"):
            self.message.channel.qos.note_begun([each.message.delivery_tag for each in (self, *company)])

    def note_ended(self) -> None:
        """Tell the broker that this process has outlived it."""
        if hasattr(self.message.channel.qos, "note_ended"):
            self.message.channel.qos.note_ended()

    @property
    def is_over(self) -> bool:
        """Whether its end has been announced already, by a revocation or a shutdown."""
        return bool(self._already_revoked or self._already_cancelled)

    def pooled(self) -> PooledRequest:
        """The request as it goes to the pool."""
        embed = self._payload[2]
        return PooledRequest(self.type, self.id, self.args, self.kwargs, self.request_dict, embed, self.ignore_result)

    def conclude(self, outcome: TaskResult) -> None:
        """Do what Celery does at the end of a task: acknowledge or give back, tell, forget."""
        if isinstance(outcome, Requeue):  # as for a task that raises Reject
            state.task_ready(self)
            self._put_back(outcome)
        elif self.dropped and not outcome[0]:
            self._conclude_dropped(expired=self.dropped == "expired")
        else:
            self.on_success(outcome)

    def _conclude_dropped(self, *, expired: bool) -> None:
        """As Celery does where it discards a message, but its sender has been told a verdict."""
        state.task_ready(self)
        self.acknowledge()
        self.send_event("task-revoked", terminated=False, signum=None, expired=expired)
        signals.task_revoked.send(self.task, request=self._context, terminated=False, signum=None, expired=expired)

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        """Do what Celery does at the end of a task that failed. One whose servers failed closes the intake.

        A process that is gone counts against the message.
        """
        if is_lost_process(exc_info):
            self.count_death(company=1)
        outcome = requeue_of(exc_info)
        if outcome is None and isinstance(_error_in(exc_info), _NO_FAILURE):
            return super().on_failure(exc_info, *args, **options)
        if outcome is None:
            self._keep(exc_info)
            return None
        if outcome.is_overdue:
            _log.warning("message.requeued", task=self.type, task_id=self.id, error=outcome.reason)
        if outcome.servers_failed:
            self._app.intake.fail(outcome.reason)
        self.conclude(outcome)
        return None

    def _keep(self, exc_info: Any) -> None:
        """Keep the message of a task that failed, which no task of ours does: Celery failed over what is around it."""
        state.task_ready(self)
        reason = repr(_error_in(exc_info))
        _log.error("message.failed", task=self.type, task_id=self.id, error=reason)
        self.send_event("task-failed", exception=reason, traceback=exc_info.traceback)
        self._app.quarantine.take_failed(self.message, reason)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Give the message back whose process was ended over a limit. Celery would tell its sender of a failure."""
        if soft:
            super().on_timeout(soft, timeout)
        elif not self.acknowledged:  # else given back at the end of its task, which billiard tells of as well
            self.on_failure(limit_passed(timeout))

    def _put_back(self, outcome: Requeue) -> None:
        """Give the message back, after its pause: it is unacked until then, and lost with nobody."""
        hub = get_event_loop()
        if outcome.pause_seconds and hub is not None:
            hub.call_later(outcome.pause_seconds, self._return)
            return
        time.sleep(outcome.pause_seconds)  # pools of green threads: others go on meanwhile
        self._return()

    def _return(self) -> None:
        if not hasattr(self.message.channel.qos, "put_back"):  # of our transport, which notes it by itself
            with suppress(RedisError):  # then the broker is away, and nobody looks at its queues
                note_returned(self.message.channel)
        self.reject(requeue=True)
