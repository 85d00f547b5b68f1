"""The work of a batch, in the pool: read the messages, apply their commands together, store the results together.

Celery's own tracer does the rest, one message at a time: messages that cannot be read, messages with callbacks, a chain
or a chord, and all messages of a batch that fails for an unforeseen reason.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from billiard.einfo import ExceptionInfo
from celery import current_app
from celery.app.trace import trace_task
from celery.exceptions import Reject

from runworker.commands import Command
from runworker.engine import Blocked
from runworker.errors import InvalidMessage, Unavailable
from runworker.tasks import results
from runworker.tasks.requests import PooledRequest, Requeue, TaskResult
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)


def apply_together(pooled_requests: Sequence[PooledRequest]) -> list[TaskResult]:
    """Apply the commands of the messages. Returns the outcome of each; no message makes this raise.

    While PostgreSQL or the result backend is away, all messages go back to the queue. The ledger answers those that
    were committed before when they come again.
    """
    app = current_app._get_current_object()
    try:
        together = _applied(app, {place: pooled for place, pooled in enumerate(pooled_requests) if pooled.is_plain})
    except Unavailable as error:
        _log.warning("message.requeued", messages=len(pooled_requests), error=str(error))
        return [Requeue(str(error))] * len(pooled_requests)
    except Exception:
        _log.exception("batch.failed", messages=len(pooled_requests))
        together = {}
    return [together.get(place) or _traced(app, pooled) for place, pooled in enumerate(pooled_requests)]


def _applied(app: Any, pooled_requests: Mapping[int, PooledRequest]) -> dict[int, TaskResult]:
    """The outcomes of the readable messages, by place."""
    began = time.monotonic()
    tasks = {place: app.tasks[pooled.name] for place, pooled in pooled_requests.items()}
    read = {place: commands for place, pooled in pooled_requests.items() if (commands := _read(tasks[place], pooled))}
    if not read:
        return {}
    result_ids: dict[UUID, str] = {}
    for place in reversed(read):  # of two messages with one key, the first gets late verdicts
        result_ids |= tasks[place].result_ids(pooled_requests[place].task_id, read[place])
    everything = [command for commands in read.values() for command in commands]
    verdicts, back = _verdicts(app, everything, result_ids)
    told = iter(verdicts)
    decided = {place: [next(told) for _ in commands] for place, commands in read.items()}
    answers = {place: tasks[place].answer(given) for place, given in decided.items() if None not in given}
    results.store(app, [(pooled_requests[place], answer) for place, answer in answers.items()])
    took = time.monotonic() - began
    _log.info("batch.applied", messages=len(answers), commands=len(everything), seconds=round(took, 4))
    outcomes: dict[int, TaskResult] = {place: back for place in read if back is not None}
    return outcomes | {
        place: (0, _shown(answer, tasks[place].resultrepr_maxsize), took) for place, answer in answers.items()
    }


def _verdicts(
    app: Any, commands: list[Command], result_ids: Mapping[UUID, str]
) -> tuple[Sequence[Verdict | None], Requeue | None]:
    """A verdict for each command, or None for those that something stands in the way of, and what becomes of them."""
    try:
        return app.engine.apply(commands, result_ids), None
    except Blocked as blocked:
        _log.warning("message.requeued", commands=blocked.verdicts.count(None), error=str(blocked))
        return blocked.verdicts, Requeue(str(blocked), blocked.pause_seconds)


def _read(task: Any, pooled: PooledRequest) -> list[Command]:
    try:
        return task.read(pooled.args, pooled.fields)
    except InvalidMessage:
        return []  # the task itself says what is wrong, and keeps the message


def _shown(answer: object, limit: int) -> str:
    """The result as events tell it. Celery's own shortening would cost more than the command."""
    text = repr(answer)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _traced(app: Any, pooled: PooledRequest) -> TaskResult:
    """One message by itself, as Celery does it in a pool process."""
    context = {**pooled.context, "args": pooled.args, "kwargs": pooled.fields, "is_eager": False}
    context.update(pooled.embed or {})
    try:
        result, info, took, shown = trace_task(
            app.tasks[pooled.name], pooled.task_id, pooled.args, pooled.fields, context, app=app
        )
    except Reject:
        return 1, ExceptionInfo(internal=True), 0.0
    return (1, result, took) if info else (0, shown, took)
