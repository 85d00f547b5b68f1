"""The ways in which a system sends: a command alone, many in a message, in a transaction of its own, damaged."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from runworker.client import Client
from runworker.commands import Command
from runworker.enqueueing import enqueue
from runworker.simulation.chaos.damage import DamagedItem
from runworker.simulation.chaos.history import Way
from runworker.simulation.chaos.load import EnqueuedCommands, Message

NOT_TAKEN: Final = (RedisError, OperationalError, SQLAlchemyError, OSError)
"""Errors of sending: whether what was sent has arrived, nobody knows."""

SOCKET_SECONDS: Final = 5.0


def broker_connection(url: str) -> Any:
    """A client of the broker itself."""
    return Redis.from_url(url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS)


class ChaosSender:
    """Sends messages over one queue, and into one database, as a context manager.

    answers: keys of the commands of each packed message, by the message's id, for who reads the answer.
    """

    def __init__(self, broker_url: str, queue: str, database: Engine, answers: dict[str, list[str]]) -> None:
        self._queue = queue
        self._client = Client(broker_url, queue=queue)
        self._redis = broker_connection(broker_url)
        self._database = database
        self._answers = answers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._redis.close()

    def send(self, message: Message) -> Way:
        """Send a message. Returns how it went. Raises an error of NOT_TAKEN."""
        if isinstance(message, DamagedItem):
            self._redis.lpush(self._queue, message.content)
            return Way.DAMAGED
        if isinstance(message, EnqueuedCommands):
            self._enqueue(message.commands)
            return Way.ENQUEUED
        if len(message) == 1:
            self._client.post(message[0])
            return Way.ALONE
        self._pack(message)
        return Way.PACKED

    def _enqueue(self, commands: Sequence[Command]) -> None:
        with self._database.begin() as connection:
            for command in commands:
                enqueue(connection, command)

    def _pack(self, commands: Sequence[Command]) -> None:
        with self._client.batch() as batch:
            sent = [batch.post(command) for command in commands]
        if (packed := sent[0].message_id) is not None:
            self._answers[packed] = [str(command.idempotency_key) for command in commands]
