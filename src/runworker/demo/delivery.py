"""How the demo's commands travel: shuffled over all runs, each several times, on a lane of their own in the broker."""

import json
from collections.abc import Sequence
from math import ceil
from random import Random
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from celery import Celery

from runworker.client import Client
from runworker.commands import Command
from runworker.config import Settings
from runworker.tasks.worker_app import celery_settings

VISIBILITY_TIMEOUT_SECONDS: Final = 5
"""After which the messages that a killed worker held are delivered again."""

WAIT_SECONDS: Final = 3600
"""How long a command may wait for its turn: shuffled over all runs, the last message may release the first."""

RESULT_EXPIRES_SECONDS: Final = 60
"""How long results stay in the broker, which may be one that serves others; the demo reads verdicts in the ledger."""


def deliveries(random: Random, commands: Sequence[Command]) -> list[Command]:
    """Every command twice, one in ten (at least one) three times, in random order."""
    thrice = random.sample(commands, ceil(len(commands) / 10))
    messages = [*commands, *commands, *thrice]
    random.shuffle(messages)
    return messages


class Lane:
    """A queue in the broker, and where messages stand that a worker has taken from it and not acknowledged.

    Both are the demo's own, so that on a broker that serves others as well no message of theirs is taken, counted, or
    delivered again after the demo's short timeout. At the end of the block nothing is left of it.
    """

    def __init__(self, settings: Settings, series: UUID) -> None:
        self.queue = f"runworker-demo-{series.hex[:12]}"
        self.settings = settings.model_copy(
            update={
                "queue": self.queue,
                "visibility_timeout_seconds": VISIBILITY_TIMEOUT_SECONDS,
                "wait_seconds": max(settings.wait_seconds, WAIT_SECONDS),
                "result_expires_seconds": RESULT_EXPIRES_SECONDS,
                "log_level": settings.log_level if "log_level" in settings.model_fields_set else "WARNING",
            }
        )
        self._unacked = {
            "unacked_key": f"{self.queue}.unacked",
            "unacked_index_key": f"{self.queue}.unacked_index",
            "unacked_mutex_key": f"{self.queue}.unacked_mutex",
        }
        own = celery_settings(self.settings)
        self._transport_options = own["broker_transport_options"] | self._unacked
        celery = Celery("runworker.demo", set_as_current=False)
        celery.conf.update(own)
        self._connection = celery.connection_for_read(own["broker_url"])

    @property
    def worker_options(self) -> tuple[str, ...]:
        """Options of Celery that make a worker with `settings` keep to this lane."""
        return ("--", f"broker.transport_options=(dict){json.dumps(self._transport_options)}")

    def client(self) -> Client:
        """A client that sends over this lane."""
        celery = celery_settings(self.settings)
        return Client(
            celery["broker_url"],
            result_backend_url=celery["result_backend"],
            queue=self.queue,
            sentinel_master=self.settings.sentinel_master,
        )

    def left(self) -> int:
        """How many messages are still in the queue, or taken and not acknowledged."""
        with self._redis.pipeline(transaction=True) as look:
            look.llen(self.queue).hlen(self._unacked["unacked_key"])
            return sum(look.execute())

    def clear(self) -> None:
        """Remove the lane, with all that is in it and all that kombu and Celery noted of it."""
        for key in self._redis.scan_iter("_kombu.binding*"):
            is_set = self._redis.type(key) == b"set"
            members = self._redis.smembers(key) if is_set else self._redis.zrange(key, 0, -1)
            if ours := [member for member in members if self.queue.encode() in member]:
                (self._redis.srem if is_set else self._redis.zrem)(key, *ours)
        if ours := list(self._redis.scan_iter(f"*{self.queue}*")):
            self._redis.delete(*ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.clear()
        finally:
            self._connection.release()

    @property
    def _redis(self) -> Any:
        return self._connection.default_channel.client
