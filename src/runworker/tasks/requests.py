"""Celery's request for a task, and what a batch needs of it: to be packed for the pool and to be given its outcome."""

from typing import Any, NamedTuple

from celery import signals
from celery.worker import state
from celery.worker.request import Request as StockRequest


class PooledRequest(NamedTuple):
    """A request as it goes to the pool.

    context: Celery's parts of the message. embed: callbacks, chain and chord. ignored: nobody wants the result.
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
        """Whether nothing has to happen besides the command: nobody is to be called, in this process or by message."""
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


TaskResult = tuple[int, Any, float] | Requeue
"""What Celery's tracer tells of a task (failed, result as text or exception, seconds), or that it goes back."""


class Request(StockRequest):
    """A request that can be part of a batch."""

    @property
    def commands(self) -> int:
        """How many commands the message carries, for all that can be seen from outside."""
        many = self.kwargs.get("commands") if self.type == "runworker.apply" else None
        return max(len(many), 1) if isinstance(many, list) else 1

    @property
    def stands_alone(self) -> bool:
        """Whether the message asks for what a batch cannot give: time limits of its own."""
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
