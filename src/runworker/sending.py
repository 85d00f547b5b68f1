"""Sending: commands as methods, a message's worth of commands, and Celery to post them.

The methods are the same whether each command goes in a message of its own or is packed with others.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from celery import Celery
from celery.app.backends import by_url
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from runworker.commands import Command, parse
from runworker.ids import new_id
from runworker.transport.deadlines import broker_deadlines, result_attempts, result_deadlines

Handle = TypeVar("Handle")

_ANSWER_SECONDS: Final = 3.0
"""Longest wait for one answer of the broker. Celery tries four times to send, and gives up within 20 seconds."""


class Sender(ABC, Generic[Handle]):
    """Makes commands of fields and sends them, each sending returning a handle.

    defaults: fields for commands that leave them out.
    """

    def __init__(self, defaults: Mapping[str, UUID | str | None]) -> None:
        self._defaults = defaults

    def start_run(self, *, flow_version_id: UUID | str, **fields: Any) -> Handle:
        """Start a run, pinned to a PUBLISHED flow version. The run's id is the key unless `run_id` is given."""
        return self.send("start_run", flow_version_id=flow_version_id, **fields)

    def advance_step(self, *, run_id: UUID | str, to_step_index: int, **fields: Any) -> Handle:
        """Finish the run's current step and begin step `to_step_index`, the planned one after it."""
        return self.send("advance_step", run_id=run_id, to_step_index=to_step_index, **fields)

    def hold_run(self, *, run_id: UUID | str, reason: str, **fields: Any) -> Handle:
        """Pause a run. reason: 10 to 500 characters."""
        return self.send("hold_run", run_id=run_id, reason=reason, **fields)

    def resume_run(self, *, run_id: UUID | str, resolution: str, **fields: Any) -> Handle:
        """Go on with a run on HOLD. resolution: 10 to 500 characters."""
        return self.send("resume_run", run_id=run_id, resolution=resolution, **fields)

    def complete_run(self, *, run_id: UUID | str, **fields: Any) -> Handle:
        """Finish a run that is at its last planned step."""
        return self.send("complete_run", run_id=run_id, **fields)

    def abort_run(self, *, run_id: UUID | str, reason: str, **fields: Any) -> Handle:
        """End an unfinished run. reason: 10 to 500 characters."""
        return self.send("abort_run", run_id=run_id, reason=reason, **fields)

    def send(self, name: str, **fields: Any) -> Handle:
        """Send any command by its wire name. Common fields: idempotency_key, issued_by, issued_at, source,
        correlation_id, after.

        Returns at once, with a handle to wait on. Raises InvalidMessage, before anything is sent, where the workers
        could not read the command.
        """
        given = {name: value for name, value in self._defaults.items() if value is not None} | fields
        if "idempotency_key" in given:
            return self.post(parse(name, given))
        return self._post_new(parse(name, given | {"idempotency_key": new_id()}))

    @abstractmethod
    def post(self, command: Command) -> Handle:
        """Send a command as it is, for the first time or again."""

    @abstractmethod
    def _post_new(self, command: Command) -> Handle:
        """Send a command whose key nobody has used."""


class BatchMessage:
    """Commands that travel in one message. task_id: None as long as it has not left; answer: its result, once read."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.task_id: str | None = None
        self.answer: Any = None

    def part(self, key: UUID) -> Any:
        """The verdict of a command in the answer: its own, or that on a message that was refused as a whole."""
        if not isinstance(self.answer, list):
            return self.answer
        return next((wire for wire in self.answer if wire.get("idempotency_key") == str(key)), None)


class ClientApp(Celery):
    """A Celery application beside the process's own: it neither takes its place nor reads its environment variables.

    It has no result backend: with one, Celery subscribes to the result of every task that it sends. Ours is `results`.
    """

    def __init__(self, broker_url: str, result_backend_url: str, sentinel_master: str) -> None:
        super().__init__("runworker.client", set_as_current=False)
        self._broker_url = broker_url
        self.backend_cls = "disabled"
        self.conf.update(
            accept_content=["json"],
            result_accept_content=["json"],
            task_serializer="json",
            result_serializer="json",
            broker_transport_options={"master_name": sentinel_master, **broker_deadlines(_ANSWER_SECONDS)},
            result_backend_transport_options={"master_name": sentinel_master, **result_attempts(_ANSWER_SECONDS)},
            **result_deadlines(_ANSWER_SECONDS),
        )
        kind, url = by_url(result_backend_url, self.loader)
        self.results = kind(app=self, url=url)

    def connection_for_write(self, url: str | None = None, *args: Any, **options: Any) -> Connection:
        """A connection to the client's broker, whatever CELERY_BROKER_URL says."""
        return super().connection_for_write(url or self._broker_url, *args, **options)

    def send_task(self, *args: Any, **options: Any) -> Any:
        """Send a task's message. Raises kombu's OperationalError where the broker does not take it."""
        try:
            return super().send_task(*args, **options)
        except AttributeError as error:
            if error.name != "client":
                raise
            # What kombu says of a channel that was closed a moment ago, when the broker refused another message.
            raise OperationalError("the broker refused a message, and the channel was closed") from error
