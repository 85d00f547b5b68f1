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
from runworker.errors import Blocked, InvalidMessage, Unavailable
from runworker.tasks import results
from runworker.tasks.announcing import announced
from runworker.tasks.requests import DROPPED, PooledRequest, Requeue, TaskResult, requeue_of
from runworker.tasks.time_limits import Overdue, heed_soft_limits
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)


def apply_together(pooled_requests: Sequence[PooledRequest]) -> list[TaskResult]:
    """Apply the commands of the messages. Returns the outcome of each; no message makes this raise.

    While PostgreSQL is away, all messages go back to the queue. Those whose results cannot be stored do not: they are
    decided, and would come back as long as the result backend takes nothing.
    """
    app = current_app._get_current_object()
    heed_soft_limits()
    try:
        return _outcomes(app, pooled_requests)
    except Overdue as error:
        _log.warning("message.requeued", messages=len(pooled_requests), error=str(error))
        return [Requeue(str(error))] * len(pooled_requests)


def _outcomes(app: Any, pooled_requests: Sequence[PooledRequest]) -> list[TaskResult]:
    try:
        together = _applied(app, {place: pooled for place, pooled in enumerate(pooled_requests) if pooled.is_plain})
    except Unavailable as error:
        _log.warning("message.requeued", messages=len(pooled_requests), error=str(error))
        return [Requeue.after(error)] * len(pooled_requests)
    except Exception:
        _log.exception("batch.failed", messages=len(pooled_requests))
        together = {}
    return _with_others(app, pooled_requests, together)


def _with_others(
    app: Any, pooled_requests: Sequence[PooledRequest], together: Mapping[int, TaskResult]
) -> list[TaskResult]:
    """Handle the messages that are not among `together`, one by one, until servers fail under one of them."""
    outcomes: list[TaskResult] = []
    failed: Requeue | None = None
    for place, pooled in enumerate(pooled_requests):
        outcome = together.get(place) or failed or _traced(app, pooled)
        if isinstance(outcome, Requeue) and outcome.servers_failed:
            failed = outcome
        outcomes.append(outcome)
    return outcomes


def _applied(app: Any, pooled_requests: Mapping[int, PooledRequest]) -> dict[int, TaskResult]:
    """The outcomes of the readable messages, by place."""
    began = time.monotonic()
    tasks = {place: app.tasks[pooled.name] for place, pooled in pooled_requests.items()}
    read = {place: commands for place, pooled in pooled_requests.items() if (commands := _read(tasks[place], pooled))}
    if not read:
        return {}
    result_ids: dict[UUID, str] = {}
    for place in reversed(read):  # of two messages with one key, the first gets late verdicts
        if not pooled_requests[place].ignored:
            result_ids |= tasks[place].result_ids(pooled_requests[place].task_id, read[place])
    everything = [command for commands in read.values() for command in commands]
    with announced(app, {place: pooled_requests[place] for place in read}) as answers:
        verdicts, back = _verdicts(app, everything, result_ids)
        told = iter(verdicts)
        decided = {place: [next(told) for _ in commands] for place, commands in read.items()}
        answers |= {place: tasks[place].answer(given) for place, given in decided.items() if None not in given}
        _tell(app, [(pooled_requests[place], answer) for place, answer in answers.items()])
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
        return blocked.verdicts, Requeue.after(blocked)


def _read(task: Any, pooled: PooledRequest) -> list[Command]:
    try:
        return task.read(pooled.args, pooled.fields)
    except InvalidMessage:
        return []  # the task itself says what is wrong, and keeps the message


def _tell(app: Any, answers: Sequence[tuple[PooledRequest, Any]]) -> None:
    try:
        results.store(app, answers)
    except Exception as error:  # of any kind: so strange an id
        # Committed is committed. Senders that are not told now ask for the stored verdict.
        _log.error("verdict.untold", task_ids=[pooled.task_id for pooled, _ in answers], error=str(error))


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
    if info is None:
        return 0, shown, took
    return requeue_of(result) or _plainly(app, pooled, result)


def _plainly(app: Any, pooled: PooledRequest, failure: Any) -> TaskResult:
    """The command alone, without what the envelope says, which Celery's tracer failed over. No command fails itself."""
    _log.error("message.untraceable", task=pooled.name, task_id=pooled.task_id, error=str(failure))
    task = app.tasks[pooled.name]
    task.push_request(id=pooled.task_id, **{DROPPED: pooled.context.get(DROPPED)})
    try:
        answer = task.run(*pooled.args, **pooled.fields)
    except Reject as error:
        return error.reason if isinstance(error.reason, Requeue) else Requeue(str(error.reason))
    finally:
        task.pop_request()
    _tell(app, [(pooled, answer)])
    return 0, _shown(answer, task.resultrepr_maxsize), 0.0
