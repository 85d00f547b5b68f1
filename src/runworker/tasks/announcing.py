"""Signals: receivers are told of each message in a batch what Celery's tracer tells them of a task.

OpenTelemetry, Datadog and others listen so. A batch is not given up for them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import signals, states
from celery.exceptions import Reject

from runworker.tasks.requests import PooledRequest


@contextmanager
def announced(app: Any, pooled_requests: Mapping[int, PooledRequest]) -> Iterator[dict[int, Any]]:
    """Send task_prerun for each message before the block, task_success and task_postrun after it, the last one first.

    The block gets a dictionary and puts in the answers, by place. A message without one goes back, or is done again.
    """
    answers: dict[int, Any] = {}
    if not any(each.receivers for each in (signals.task_prerun, signals.task_success, signals.task_postrun)):
        yield answers
        return
    for pooled in pooled_requests.values():
        with _at_work(app, pooled) as about:
            signals.task_prerun.send(**about)
    try:
        yield answers
    finally:
        for place, pooled in reversed(list(pooled_requests.items())):
            with _at_work(app, pooled) as about:
                if place in answers:
                    signals.task_success.send(sender=about["sender"], result=answers[place], runtime=None)
                    signals.task_postrun.send(**about, retval=answers[place], state=states.SUCCESS)
                else:
                    signals.task_postrun.send(**about, retval=Reject(requeue=True), state=states.REJECTED)


@contextmanager
def _at_work(app: Any, pooled: PooledRequest) -> Iterator[dict[str, Any]]:
    """The task with this message as its request, as receivers expect it to be."""
    task = app.tasks[pooled.name]
    task.push_request(pooled.context, args=pooled.args, kwargs=pooled.fields, called_directly=False)
    try:
        yield {
            "sender": task, "task_id": pooled.task_id, "task": task, "args": pooled.args, "kwargs": pooled.fields,
        }  # fmt: skip
    finally:
        task.pop_request()
