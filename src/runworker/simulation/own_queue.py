"""A queue in the broker that is nobody else's, for who must not meet the messages of others on the same broker."""

import json
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from celery import Celery

from runworker.client import Client
from runworker.config import Settings
from runworker.tasks.worker_app import celery_settings

VISIBILITY_TIMEOUT_SECONDS: Final = 5
"""After which the messages that a killed worker held are delivered again."""

WAIT_SECONDS: Final = 3600
"""A command may wait so long for its turn: shuffled over all runs, the last message may release the first."""

RESULT_EXPIRES_SECONDS: Final = 60
"""Results stay so long in the broker, which may be one that serves others; the demo reads verdicts in the ledger."""


class OwnQueue:
    """A queue, and where messages stand that a worker has taken from it and not acknowledged.

    Both are of this queue alone, so that on a broker that serves others as well no message of theirs is taken, counted
    or delivered again. settings: with the queue's name. unacked: the transport's options that name where messages
    stand. At the end of the block nothing is left of it.
    """

    def __init__(self, settings: Settings) -> None:
        self.name = settings.queue
        self.settings = settings
        self.unacked = {
            "unacked_key": f"{self.name}.unacked",
            "unacked_index_key": f"{self.name}.unacked_index",
            "unacked_mutex_key": f"{self.name}.unacked_mutex",
        }
        own = celery_settings(settings)
        self._transport_options = own["broker_transport_options"] | self.unacked
        celery = Celery("runworker.simulation", set_as_current=False)
        celery.conf.update(own)
        self._connection = celery.connection_for_read(own["broker_url"])

    @property
    def worker_options(self) -> tuple[str, ...]:
        """Options of Celery that make a worker with `settings` keep to this queue."""
        return ("--", f"broker.transport_options=(dict){json.dumps(self._transport_options)}")

    def client(self) -> Client:
        """A client that sends over this queue."""
        celery = celery_settings(self.settings)
        return Client(
            celery["broker_url"],
            result_backend_url=celery["result_backend"],
            queue=self.name,
            sentinel_master=self.settings.sentinel_master,
        )

    @property
    def redis(self) -> Any:
        """A client of the broker itself, found through Sentinel where there is one."""
        return self._connection.default_channel.client

    def left(self) -> int:
        """How many messages are still in the queue, or taken and not acknowledged."""
        with self.redis.pipeline(transaction=True) as look:
            look.llen(self.name).hlen(self.unacked["unacked_key"])
            return sum(look.execute())

    def clear(self) -> None:
        """Remove the queue, with all that is in it and all that kombu and Celery noted of it."""
        redis = self.redis
        for key in redis.scan_iter("_kombu.binding*"):
            is_set = redis.type(key) == b"set"
            members = redis.smembers(key) if is_set else redis.zrange(key, 0, -1)
            if ours := [member for member in members if self.name.encode() in member]:
                (redis.srem if is_set else redis.zrem)(key, *ours)
        if ours := list(redis.scan_iter(f"*{self.name}*")):
            redis.delete(*ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.clear()
        finally:
            self._connection.release()


class DemoQueue(OwnQueue):
    """A queue of one demo, whose workers are quiet and whose lost messages come again soon."""

    def __init__(self, settings: Settings, series: UUID) -> None:
        quiet = {} if "log_level" in settings.model_fields_set else {"log_level": "WARNING"}
        own = {
            "queue": f"runworker-demo-{series.hex[:12]}",
            "visibility_timeout_seconds": VISIBILITY_TIMEOUT_SECONDS,
            "wait_seconds": max(settings.wait_seconds, WAIT_SECONDS),
            "result_expires_seconds": RESULT_EXPIRES_SECONDS,
        }
        super().__init__(settings.model_copy(update=own | quiet))
