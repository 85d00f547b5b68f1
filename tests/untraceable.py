"""Messages over which Celery fails before their task begins, for workers that are told to include this module."""

from typing import Any, Final

from runworker.tasks.commands import RunworkerTask

UNTRACEABLE: Final = "Celery fails over a message with this"


def _fail(_task: RunworkerTask, _task_id: str, _args: Any, fields: Any) -> None:
    if UNTRACEABLE in (fields.get("correlation_id"), *fields.get("keys", ())):
        raise LookupError(UNTRACEABLE)


RunworkerTask.before_start = _fail
