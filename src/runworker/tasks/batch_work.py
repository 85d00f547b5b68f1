"""The work of a batch, in the pool: read the messages, apply their commands together, store the results together.

What asks for more than a command's verdict is left to Celery's own tracer, one message at a time: messages that cannot
be read, that have callbacks, a chain or a chord, and all of them where a batch fails for a reason that nobody foresaw.
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
from runworker.errors import InvalidMessage, Unavailable
from runworker.tasks import results
from runworker.tasks.requests import Outcome, Parcel, Requeue

_log = structlog.get_logger(__name__)


def apply_together(parcels: Sequence[Parcel]) -> list[Outcome]:
    """Do what the messages ask for. Returns the outcome of each, and raises nothing that has a message for its cause.

    While PostgreSQL or the result backend is away, all go back to the queue; what was committed before is answered
    from the ledger when it comes again.
    """
    app = current_app._get_current_object()
    try:
        together = _applied(app, {place: parcel for place, parcel in enumerate(parcels) if parcel.is_plain})
    except Unavailable as error:
        _log.warning("message.requeued", messages=len(parcels), error=str(error))
        return [Requeue(str(error))] * len(parcels)
    except Exception:
        _log.exception("batch.failed", messages=len(parcels))
        together = {}
    return [together.get(place) or _traced(app, parcel) for place, parcel in enumerate(parcels)]


def _applied(app: Any, parcels: Mapping[int, Parcel]) -> dict[int, Outcome]:
    """The outcomes of those messages that can be read, by place."""
    began = time.monotonic()
    tasks = {place: app.tasks[parcel.name] for place, parcel in parcels.items()}
    read = {place: commands for place, parcel in parcels.items() if (commands := _read(tasks[place], parcel))}
    if not read:
        return {}
    told_at: dict[UUID, str] = {}
    for place in reversed(read):  # of two messages with one key, the first is told
        told_at |= tasks[place].told_at(parcels[place].task_id, read[place])
    everything = [command for commands in read.values() for command in commands]
    verdicts = iter(app.engine.apply(everything, told_at))
    answers = {place: tasks[place].answer([next(verdicts) for _ in commands]) for place, commands in read.items()}
    results.store(app, [(parcels[place], answer) for place, answer in answers.items()])
    took = time.monotonic() - began
    _log.info("batch.applied", messages=len(answers), commands=len(everything), seconds=round(took, 4))
    return {place: (0, _shown(answer, tasks[place].resultrepr_maxsize), took) for place, answer in answers.items()}


def _read(task: Any, parcel: Parcel) -> list[Command]:
    try:
        return task.read(parcel.args, parcel.fields)
    except InvalidMessage:
        return []  # the task itself says what is wrong, and keeps the message


def _shown(answer: object, limit: int) -> str:
    """The result as events tell it. Celery's own shortening would cost more than the command."""
    text = repr(answer)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _traced(app: Any, parcel: Parcel) -> Outcome:
    """One message by itself, as Celery does it in a pool process."""
    context = {**parcel.context, "args": parcel.args, "kwargs": parcel.fields, "is_eager": False}
    context.update(parcel.embed or {})
    try:
        result, info, took, shown = trace_task(
            app.tasks[parcel.name], parcel.task_id, parcel.args, parcel.fields, context, app=app
        )
    except Reject:
        return 1, ExceptionInfo(internal=True), 0.0
    return (1, result, took) if info else (0, shown, took)
