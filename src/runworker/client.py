"""The client for upstream Python code: it sends commands and reads verdicts, and needs no database.

client = Client("redis://localhost:6379/0", issued_by=user_id)
run = client.start_run(flow_version_id=version_id)
client.advance_step(run_id=run.run_id, to_step_index=1)
verdict = run.wait()
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from celery import states
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from runworker.codes import UNRECORDED, Code
from runworker.commands import BULK_LIMIT, Command
from runworker.errors import InvalidMessage, KeyReused, RunworkerError  # noqa: F401 - what enqueue raises is found here
from runworker.lazy_names import lazy_names
from runworker.sending import BatchMessage, ClientApp, Sender
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

if TYPE_CHECKING:
    from runworker.enqueueing import enqueue, enqueue_async  # noqa: F401 - names of this module
else:  # who queues nothing needs no database
    __getattr__ = lazy_names(__name__, {name: f"runworker.enqueueing:{name}" for name in ("enqueue", "enqueue_async")})

_ASK_THE_LEDGER_EVERY: Final = 5.0
"""Seconds of waiting after which the client asks for the stored verdict: a result may have expired or been lost."""

_QUESTIONS_LAPSE_AFTER: Final = 60.0
"""Seconds after which no worker need answer a question for stored verdicts any more."""

_PAUSES: Final = (0.005, 0.1)
"""Seconds between two looks at a result, at first and at last."""

_REVOKED: Final[Mapping[str, Any]] = {"status": states.REVOKED}
"""In place of a verdict: Celery's word on a message that an operator ended while it was at work."""

_AWAY: Final = (RedisError, OperationalError, OSError)
"""Errors that tell that the broker cannot be reached."""


class CommandRejected(RunworkerError):
    """A verdict REJECTED or EXPIRED, where the caller asked for an exception. `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{verdict.command} {verdict.idempotency_key}: {verdict.code}: {verdict.message}")
        self.verdict = verdict


class NoVerdict(RunworkerError, TimeoutError):
    """No verdict within the time given. The command may still be applied; ask again, or send it again."""


class Revoked(NoVerdict):
    """The message was ended by an operator (`control revoke --terminate`), and the ledger does not know its command."""


class NotSent(RunworkerError):
    """The command has not left: its batch is still being packed, or ended with an exception."""


class Sent:
    """A command on its way."""

    def __init__(self, client: "Client", command: Command, message: BatchMessage | None = None) -> None:
        self._client = client
        self._message = message
        self.command = command

    @property
    def idempotency_key(self) -> UUID:
        """The command's key, which is its Celery task id too."""
        return self.command.idempotency_key

    @property
    def run_id(self) -> UUID | None:
        """The run that the command is about; of a new run it is known before the worker has seen the command."""
        return self.command.target_run

    @property
    def message_id(self) -> str | None:
        """Celery task id of the message that the command travels in; None while its batch has not left."""
        return str(self.idempotency_key) if self._message is None else self._message.task_id

    def wait(self, timeout: float = 30.0, *, decided: bool = True, raise_on_rejection: bool = False) -> Verdict:
        """The verdict.

        timeout: seconds. decided: whether to go on waiting while the command itself is WAITING for its turn.
        raise_on_rejection: raise CommandRejected instead of returning REJECTED or EXPIRED.
        Raises NoVerdict when time is up, Revoked at once where an operator ended the message while it was at work, and
        NotSent where the command is in a batch that has not left.
        """
        if self._message is not None and self._message.task_id is None:
            raise NotSent(f"{self.command.name} {self.idempotency_key} is packed and not sent: end its batch first")
        verdict = self._client._verdict_of(self.command, timeout, decided, self._message)
        if raise_on_rejection and verdict.status in (CommandStatus.REJECTED, CommandStatus.EXPIRED):
            raise CommandRejected(verdict)
        return verdict


class Client(Sender[Sent]):
    """Sends commands to the workers' queue. Safe to share between threads.

    broker_url: Redis or Valkey. issued_by: the user that commands are issued by unless one says otherwise.
    result_backend_url: where verdicts are read; default: the broker. queue: as the workers' `RUNWORKER_QUEUE`.
    source: name of the sending system, kept with every command. sentinel_master: what Sentinel calls the server, for
    `sentinel://` URLs.
    """

    def __init__(
        self,
        broker_url: str,
        issued_by: UUID | str | None = None,
        *,
        result_backend_url: str | None = None,
        queue: str = "celery",
        source: str | None = None,
        sentinel_master: str = "mymaster",
    ) -> None:
        super().__init__({"issued_by": issued_by, "source": source})
        self._queue = queue
        self._app = ClientApp(broker_url, result_backend_url or broker_url, sentinel_master)

    def __enter__(self) -> Self:
        """Use the client as a context manager to close it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._app.close()
        self._app.results.client.close()

    def post(self, command: Command) -> Sent:
        """Send a command as it is. A repeat has no second effect and brings the same verdict."""
        self._forget_refusal(command.idempotency_key)
        return self._post_new(command)

    def _post_new(self, command: Command) -> Sent:
        self._send(command, str(command.idempotency_key))
        return Sent(self, command)

    def _send(self, command: Command, task_id: str | None) -> str:
        """Send a command under a task id, a fresh one where none is given. Returns it."""
        return str(
            self._app.send_task(
                f"runworker.{command.name}",
                kwargs={"idempotency_key": str(command.idempotency_key), **command.payload},
                task_id=task_id,
                queue=self._queue,
            ).id
        )

    def batch(self, at_most: int = BULK_LIMIT) -> "Batch":
        """Pack commands into few messages, as a context manager with all the methods that send.

        at_most: commands in a message, 1 to 500; each message is applied in one transaction. Raises InvalidMessage.
        """
        if not 1 <= at_most <= BULK_LIMIT:
            raise InvalidMessage(Code.BATCH_TOO_LARGE, f"at_most: expected 1 to {BULK_LIMIT}, got {at_most}")
        return Batch(self, at_most)

    def verdicts(self, *keys: UUID, timeout: float = 30.0) -> dict[UUID, Verdict | None]:
        """Stored verdicts from the workers' ledger, None for keys that no worker has seen.

        Raises InvalidMessage for more than 500 keys and for what is no UUID, NoVerdict when time is up or the workers
        refuse to answer.
        """
        if len(keys) > BULK_LIMIT:
            raise InvalidMessage(Code.BATCH_TOO_LARGE, f"keys: at most {BULK_LIMIT} at once, got {len(keys)}")
        if strangers := [key for key in keys if not isinstance(key, UUID)]:
            raise InvalidMessage(Code.INVALID_FIELD, f"keys: expected UUIDs, got {strangers[0]!r:.60}")
        asked = self._app.send_task(
            "runworker.verdicts",
            kwargs={"keys": [str(key) for key in keys]},
            queue=self._queue,
            expires=_QUESTIONS_LAPSE_AFTER,
        )
        wire = self._poll(lambda: self._result(asked.id), time.monotonic() + timeout)
        if not isinstance(wire, Mapping):
            raise NoVerdict(f"no worker gave stored verdicts within {timeout:.1f} s")
        if "status" in wire:  # a verdict on the question itself
            raise NoVerdict(f"no worker gave stored verdicts: {wire.get('code')}: {wire.get('message')}")
        return {UUID(key): Verdict.from_dict(verdict) if verdict else None for key, verdict in wire.items()}

    def _post_message(self, message: BatchMessage) -> None:
        packed = [
            {"command": command.name, "idempotency_key": str(command.idempotency_key), **command.payload}
            for command in message.commands
        ]
        message.task_id = self._app.send_task("runworker.apply", kwargs={"commands": packed}, queue=self._queue).id

    def _verdict_of(self, command: Command, timeout: float, decided: bool, message: BatchMessage | None) -> Verdict:
        key, deadline = command.idempotency_key, time.monotonic() + timeout
        own = False  # whether what stands under the key is known to be about this very command

        def will_do(wire: Any) -> Any:
            waits = not isinstance(wire, Mapping) or (decided and wire.get("status") == CommandStatus.WAITING)
            return None if waits else wire

        def look() -> Any:
            # A command that waited in a batch message has a result of its own once it is decided.
            if message is not None and will_do(wire := self._part_of_answer(message, key)):
                return wire
            return will_do(self._result(str(key), revoked=_REVOKED))

        while True:
            wire = self._poll(look, min(deadline, time.monotonic() + _ASK_THE_LEDGER_EVERY))
            left = deadline - time.monotonic()
            if wire is not None and wire is not _REVOKED:
                verdict: Verdict | None = Verdict.from_dict(wire)
            else:
                if wire is None and left <= 0:
                    raise NoVerdict(f"no verdict on {key} within {timeout} s; it may still be applied")
                verdict = self._ask_ledger(key, min(max(left, 0.0), _ASK_THE_LEDGER_EVERY))
            if verdict is not None and not own and not verdict.is_about(command.fingerprint):
                # Another command's, under the same key. Under a task id of its own, this one is told its own.
                verdict, own = self._told_alone(command, deadline), True
            if verdict is not None and (verdict.decided or not decided):
                return verdict
            if verdict is None and wire is _REVOKED:
                raise Revoked(f"{key} was ended by an operator while it was at work; it may have been applied")

    def _told_alone(self, command: Command, deadline: float) -> Verdict | None:
        task_id = self._send(command, None)
        wire = self._poll(lambda: self._result(task_id), deadline)
        return Verdict.from_dict(wire) if wire else None

    def _forget_refusal(self, key: UUID) -> None:
        """Take away what was said of an earlier message alone: it is not the answer to the one that is sent now."""
        name = self._app.results.get_key_for_task(str(key))

        def forget(redis: Any) -> None:
            stored = self._result(str(key))
            redis.multi()
            if not isinstance(stored, Mapping) or stored.get("code") in UNRECORDED or "dead_letter" in stored:
                redis.delete(name)

        with suppress(*_AWAY):
            if self._app.results.client.exists(name):
                self._app.results.client.transaction(forget, name)

    def _ask_ledger(self, key: UUID, timeout: float) -> Verdict | None:
        try:
            return self.verdicts(key, timeout=timeout).get(key)
        except (NoVerdict, *_AWAY):
            return None

    def _part_of_answer(self, message: BatchMessage, key: UUID) -> Any:
        """The verdict on a command in its batch message's answer. All handles of a message share the answer."""
        if message.answer is None and message.task_id is not None:
            message.answer = self._result(message.task_id)
        return message.part(key)

    def _result(self, task_id: str, revoked: Any = None) -> Any:
        """The task's result as it stands, None where there is none. revoked: in place of Celery's word for that."""
        try:
            found = self._app.results.get_task_meta(task_id, cache=False)
        except _AWAY:
            return None
        # Celery's own word, on a message that was ended or whose result could not be stored, is no verdict.
        if found.get("status") == states.REVOKED:
            return revoked
        return found["result"] if found.get("status") == states.SUCCESS else None

    def _poll(self, look: Callable[[], Any], deadline: float) -> Any:
        """Look again and again until `look` finds something. Returns it, or None at the deadline.

        Celery's own subscription gives up for good when the broker is away for long, and tells nothing of a result that
        changes.
        """
        pause, longest = _PAUSES
        while True:
            if (found := look()) is not None:
                return found
            if (left := deadline - time.monotonic()) <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(2 * pause, longest)


class Batch(Sender[Sent]):
    """Commands packed into messages, as a context manager: `Client.batch`. For one thread.

    A message leaves when it is full, the last one at the end of the block. Where the block raises, the commands still
    packed are not sent. Commands of one message are applied in their order; those of several need no order either,
    since each waits for its turn.
    """

    def __init__(self, client: Client, at_most: int) -> None:
        super().__init__(client._defaults)
        self._client = client
        self._at_most = at_most
        self._message = BatchMessage()

    def post(self, command: Command) -> Sent:
        """Pack a command as it is. Its handle can be waited on once the message has left."""
        self._client._forget_refusal(command.idempotency_key)
        return self._post_new(command)

    def _post_new(self, command: Command) -> Sent:
        message = self._message
        message.commands.append(command)
        if len(message.commands) == self._at_most:
            self._leave()
        return Sent(self._client, command, message)

    def _leave(self) -> None:
        message, self._message = self._message, BatchMessage()
        self._client._post_message(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None and self._message.commands:
            self._leave()
