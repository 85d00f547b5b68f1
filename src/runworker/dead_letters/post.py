"""The post: puts the messages of dead letters into the workers' queue, as their senders would have."""

from types import TracebackType
from typing import Self

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from runworker.config import Settings
from runworker.dead_letters.reading import Message
from runworker.errors import ConfigurationError, Unavailable
from runworker.tasks.worker_app import celery_settings


class Post:
    """Puts messages into the workers' queue, without waiting for verdicts.

    No wait for the broker is longer than `connect_timeout_seconds`. Raises ConfigurationError where no broker is known.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.broker_url is None:
            raise ConfigurationError(
                "No broker to send to: set RUNWORKER_BROKER_URL, or start embedded servers with `runworker up`."
            )
        self._queue = settings.queue
        self._celery = Celery(
            "runworker.replaying", broker=settings.broker_url.get_secret_value(), set_as_current=False
        )
        self._celery.conf.broker_transport_options = {
            **celery_settings(settings)["broker_transport_options"],
            "socket_connect_timeout": settings.connect_timeout_seconds,
            "socket_timeout": settings.connect_timeout_seconds,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._celery.close()

    def send(self, message: Message) -> None:
        """Put one message into the queue. Raises Unavailable where the broker does not take it."""
        try:
            self._celery.send_task(
                message.task_name,
                kwargs=dict(message.fields),
                task_id=message.task_id,
                queue=self._queue,
                retry=False,
            )
        except (OperationalError, RedisError, OSError) as error:
            # A server that is full, a replica or cannot save answers with an error of redis' own.
            raise Unavailable(f"The broker did not take the message, which stays as it was: {error}") from error
