"""Messages as a stock Celery client writes them, many at once.

One is really sent, by a stock client to a list that nobody reads, and the others are written after it. What a worker
gets does not differ, and a queue of ten thousand is filled in a second and not in ten.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from celery import Celery
from redis import Redis


class MessageWriter:
    """Writes messages of one task for one queue."""

    def __init__(self, broker_url: str, queue: str, task: str) -> None:
        self._pattern = json.loads(_sent(broker_url, f"{queue}.sample", task))
        self._pattern["properties"]["delivery_info"]["routing_key"] = queue
        _, _, self._embed = json.loads(base64.b64decode(self._pattern["body"]))

    def written(self, task_id: str, fields: Mapping[str, Any]) -> bytes:
        """A message with these keyword arguments, as it lies in the queue's list."""
        pattern = self._pattern
        body = base64.b64encode(json.dumps([[], fields, self._embed]).encode()).decode()
        headers = {**pattern["headers"], "id": task_id, "root_id": task_id, "kwargsrepr": repr(fields)}
        properties = {**pattern["properties"], "correlation_id": task_id, "delivery_tag": str(uuid4())}
        return json.dumps({**pattern, "body": body, "headers": headers, "properties": properties}).encode()


def _sent(broker_url: str, queue: str, task: str) -> bytes:
    client = Celery("runworker.bench", broker=broker_url, set_as_current=False)
    with Redis.from_url(broker_url) as broker:
        client.send_task(task, kwargs={}, queue=queue)
        item = broker.rpop(queue)
        broker.delete(f"_kombu.binding.{queue}")
    client.close()
    return bytes(item)
