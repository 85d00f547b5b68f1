"""Celery's strategy for commands: a request that is due joins a batch, where the standard one sends it to the pool.

All else is the standard strategy itself: events, revoked and expired messages, ETA, rate limits.
"""

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.consumer import Consumer as StockConsumer
from celery.worker.strategy import default

from runworker.tasks.batches import Batches

_log = structlog.get_logger(__name__)


def batched(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Give Celery the function that takes in the task's messages; `Task.Strategy` names this one.

    With a consumer that keeps no batches, Celery's own for one, this is the standard strategy.
    """
    batches: Batches | None = getattr(consumer, "batches", None)
    if batches is None:
        return default(task, app, consumer, **options)
    if consumer.event_dispatcher:  # three events a message, published when a batch begins and when it ends
        consumer.event_dispatcher.buffer_limit = max(consumer.event_dispatcher.buffer_limit, 3 * batches.size)
    # A line a message costs more than the message; `batch.applied` tells the same.
    return default(task, app, _Joining(consumer, batches), info=_received, **options)


def _received(_template: str, context: dict[str, Any], **_options: Any) -> None:
    _log.debug("message.received", task=context["name"], task_id=context["id"])


class _Joining:
    """The consumer as the standard strategy sees it. Its ways to the pool lead to the batches."""

    apply_eta_task = StockConsumer.apply_eta_task
    _limit_task = StockConsumer._limit_task
    _limit_post_eta = StockConsumer._limit_post_eta
    _limit_move_to_pool = StockConsumer._limit_move_to_pool
    _schedule_bucket_request = StockConsumer._schedule_bucket_request

    def __init__(self, consumer: Any, batches: Batches) -> None:
        self._consumer = consumer
        self.on_task_request = batches.join

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)
