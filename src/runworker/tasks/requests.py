"""Celery's request for a task, which a batch packs for the pool and gives its outcome."""

from typing import Any, NamedTuple

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import WorkerLostError
from celery import signals
from celery.worker import state
from celery.worker.request import Request as StockRequest

from runworker.transport import DEATHS, deaths_of


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
        """Whether the command is all there is to do: no callback, chain, chord or group, no receiver of a signal."""
        return not (
            any((self.embed or {}).values())
            or self.context.get("group")
            or signals.task_prerun.receivers
            or signals.task_success.receivers
            or signals.task_postrun.receivers
        )


class Requeue(NamedTuple):
    """The outcome of a message that goes back to its queue, and why."""

    reason: str


def is_lost_process(failed: Any) -> bool:
    """Whether the pool's process has died with its task, and nobody told it to. failed: the task's ExceptionInfo."""
    error = failed.exception
    if isinstance(error, ExceptionWithTraceback):
        error = error.exc
    ends = state.should_stop is not None or state.should_terminate is not None
    return isinstance(error, WorkerLostError | SystemExit) and not ends


TaskResult = tuple[int, Any, float] | Requeue
"""A task's end as Celery's tracer tells it (failed, result as text or exception, seconds), or that it goes back."""


class Request(StockRequest):
    """A request that can be part of a batch."""

    @property
    def commands(self) -> int:
        """How many commands the message carries, for all that can be seen from outside."""
        many = self.kwargs.get("commands") if self.type == "runworker.apply" else None
        return max(len(many), 1) if isinstance(many, list) else 1

    @property
    def deaths(self) -> int | None:
        """How many processes have ended while they did it alone. None: it was lost with no process yet."""
        return deaths_of(self.message.headers)

    def count_death(self, *, alone: bool) -> None:
        """Note that it was lost with a process of the pool. alone: whether that did nothing else."""
        self.message.headers[DEATHS] = deaths = (self.deaths or 0) + alone
        if hasattr(self.message.channel.qos, "count_deaths"):  # of our transport
            self.message.channel.qos.count_deaths(self.message.delivery_tag, deaths)

    def note_begun(self) -> None:
        """Tell the broker that this process does it now, and nothing else: it may not live to tell. Raises RedisError.

        kombu's own transport has no place for that.
        """
        if hasattr(self.message.channel.qos, "begin_alone"):
            self.message.channel.qos.begin_alone(self.message.delivery_tag)

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        """Do what Celery does at the end of a task that failed. A process that is gone counts against the message."""
        if is_lost_process(exc_info):
            self.count_death(alone=True)
        return super().on_failure(exc_info, *args, **options)

    @property
    def has_time_limits(self) -> bool:
        """Whether the message asks for time limits of its own, which a batch cannot give."""
        return any(self.time_limits)

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
            self.reject(requeue=True)
        else:
            self.on_success(outcome)
