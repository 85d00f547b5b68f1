"""What upstream Python imports: send commands, read verdicts. Nothing here needs the database.

client = Client("redis://localhost:6379/0", issued_by=user_id)
run = client.start_run(flow_version_id=version_id)
client.advance_step(run_id=run.run_id, to_step_index=1)
verdict = run.wait()
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

from celery import Celery, states
from celery.app.backends import by_url
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from runworker.commands import BULK_LIMIT, Command, parse
from runworker.errors import Code, InvalidMessage, RunworkerError
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

_ASK_THE_LEDGER_EVERY: Final = 5.0
"""Seconds of waiting after which the stored verdict is asked for: a result may have expired or been lost."""

_QUESTIONS_LAPSE_AFTER: Final = 60.0
"""Seconds after which no worker need answer a question for stored verdicts any more."""

_PAUSES: Final = (0.005, 0.1)
"""Seconds between two looks at a result, at first and at last."""

_AWAY: Final = (RedisError, OperationalError, OSError)
"""Ways in which the broker says that it is not there."""


def _is_there(wire: object) -> bool:
    return wire is not None


class CommandRejected(RunworkerError):
    """A verdict REJECTED or EXPIRED, where the caller asked for an exception. `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{verdict.command} {verdict.idempotency_key}: {verdict.code}: {verdict.message}")
        self.verdict = verdict


class NoVerdict(RunworkerError, TimeoutError):
    """No verdict within the time given. The command may still be applied; ask again, or send it again."""


class Sent:
    """A command on its way."""

    def __init__(self, client: "Client", command: Command) -> None:
        self._client = client
        self.command = command

    @property
    def idempotency_key(self) -> UUID:
        """The command's key, which is its Celery task id too."""
        return self.command.idempotency_key

    @property
    def run_id(self) -> UUID | None:
        """The run that the command is about; of a new run it is known before the worker has seen the command."""
        return self.command.target_run

    def wait(self, timeout: float = 30.0, *, decided: bool = True, raise_on_rejection: bool = False) -> Verdict:
        """The verdict.

        timeout: seconds. decided: whether to go on waiting while the command itself is WAITING for its turn.
        raise_on_rejection: raise CommandRejected instead of returning REJECTED or EXPIRED.
        Raises NoVerdict when time is up.
        """
        verdict = self._client._verdict_of(self.idempotency_key, timeout, decided)
        if raise_on_rejection and verdict.status in (CommandStatus.REJECTED, CommandStatus.EXPIRED):
            raise CommandRejected(verdict)
        return verdict


class _Post(Celery):
    """A Celery application beside the process's own: it neither takes its place nor reads its environment variables.

    It has no result backend: with one, Celery subscribes to the result of every task that it sends. Ours is `results`.
    """

    def __init__(self, broker_url: str, result_backend_url: str) -> None:
        super().__init__("runworker.client", set_as_current=False)
        self._broker_url = broker_url
        self.backend_cls = "disabled"
        self.conf.update(
            accept_content=["json"],
            result_accept_content=["json"],
            task_serializer="json",
            result_serializer="json",
        )
        kind, url = by_url(result_backend_url, self.loader)
        self.results = kind(app=self, url=url)

    def connection_for_write(self, url: str | None = None, *args: Any, **options: Any) -> Connection:
        """A connection to the client's broker, whatever CELERY_BROKER_URL says."""
        return super().connection_for_write(url or self._broker_url, *args, **options)


class Client:
    """Sends commands to the workers' queue. Safe to share between threads.

    broker_url: Redis or Valkey. issued_by: the user that commands are issued by unless one says otherwise.
    result_backend_url: where verdicts are read; default: the broker. queue: as the workers' `RUNWORKER_QUEUE`.
    source: name of the sending system, kept with every command.
    """

    def __init__(
        self,
        broker_url: str,
        issued_by: UUID | str | None = None,
        *,
        result_backend_url: str | None = None,
        queue: str = "celery",
        source: str | None = None,
    ) -> None:
        self._defaults = {"issued_by": issued_by, "source": source}
        self._queue = queue
        self._post = _Post(broker_url, result_backend_url or broker_url)

    def __enter__(self) -> Self:
        """Use the client as a context manager to close it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._post.close()
        self._post.results.client.close()

    def start_run(self, *, flow_version_id: UUID | str, **fields: Any) -> Sent:
        """Start a run, pinned to a PUBLISHED flow version. The run's id is the key unless `run_id` is given."""
        return self.send("start_run", flow_version_id=flow_version_id, **fields)

    def advance_step(self, *, run_id: UUID | str, to_step_index: int, **fields: Any) -> Sent:
        """Finish the run's current step and begin step `to_step_index`, the planned one after it."""
        return self.send("advance_step", run_id=run_id, to_step_index=to_step_index, **fields)

    def hold_run(self, *, run_id: UUID | str, reason: str, **fields: Any) -> Sent:
        """Pause a run. reason: 10 to 500 characters."""
        return self.send("hold_run", run_id=run_id, reason=reason, **fields)

    def resume_run(self, *, run_id: UUID | str, resolution: str, **fields: Any) -> Sent:
        """Go on with a run on HOLD. resolution: 10 to 500 characters."""
        return self.send("resume_run", run_id=run_id, resolution=resolution, **fields)

    def complete_run(self, *, run_id: UUID | str, **fields: Any) -> Sent:
        """Finish a run that is at its last planned step."""
        return self.send("complete_run", run_id=run_id, **fields)

    def abort_run(self, *, run_id: UUID | str, reason: str, **fields: Any) -> Sent:
        """End an unfinished run. reason: 10 to 500 characters."""
        return self.send("abort_run", run_id=run_id, reason=reason, **fields)

    def send(self, name: str, **fields: Any) -> Sent:
        """Send any command by its wire name. Common fields: idempotency_key, issued_by, issued_at, source,
        correlation_id, after.

        Returns at once, with a handle to wait on. Raises InvalidMessage, before anything is sent, where the workers
        could not read the command.
        """
        given = {name: value for name, value in self._defaults.items() if value is not None} | fields
        given.setdefault("idempotency_key", uuid4())
        command = parse(name, given)
        return self.send_again(command)

    def send_again(self, command: Command) -> Sent:
        """Send a command as it is. A repeat has no second effect and brings the same verdict."""
        key = str(command.idempotency_key)
        self._post.send_task(
            f"runworker.{command.name}",
            kwargs={"idempotency_key": key, **command.payload},
            task_id=key,
            queue=self._queue,
        )
        return Sent(self, command)

    def verdicts(self, *keys: UUID, timeout: float = 30.0) -> dict[UUID, Verdict | None]:
        """Stored verdicts from the workers' ledger, None for keys that no worker has seen.

        Raises InvalidMessage for more than 500 keys, NoVerdict when time is up.
        """
        if len(keys) > BULK_LIMIT:
            raise InvalidMessage(Code.BATCH_TOO_LARGE, f"keys: at most {BULK_LIMIT} at once, got {len(keys)}")
        asked = self._post.send_task(
            "runworker.verdicts",
            kwargs={"keys": [str(key) for key in keys]},
            queue=self._queue,
            expires=_QUESTIONS_LAPSE_AFTER,
        )
        wire = self._looked_for(asked.id, time.monotonic() + timeout)
        if not isinstance(wire, Mapping):
            raise NoVerdict(f"no worker gave stored verdicts within {timeout:.1f} s")
        return {UUID(key): Verdict.from_dict(verdict) if verdict else None for key, verdict in wire.items()}

    def _verdict_of(self, key: UUID, timeout: float, decided: bool) -> Verdict:
        deadline = time.monotonic() + timeout

        def will_do(wire: Any) -> bool:
            return isinstance(wire, Mapping) and not (decided and wire["status"] == CommandStatus.WAITING)

        while True:
            wire = self._looked_for(str(key), min(deadline, time.monotonic() + _ASK_THE_LEDGER_EVERY), will_do)
            if wire is not None:
                return Verdict.from_dict(wire)
            if (left := deadline - time.monotonic()) <= 0:
                raise NoVerdict(f"no verdict on {key} within {timeout} s; it may still be applied")
            verdict = self._asked_of_the_ledger(key, min(left, _ASK_THE_LEDGER_EVERY))
            if verdict is not None and (verdict.decided or not decided):
                return verdict

    def _asked_of_the_ledger(self, key: UUID, timeout: float) -> Verdict | None:
        try:
            return self.verdicts(key, timeout=timeout).get(key)
        except (NoVerdict, *_AWAY):
            return None

    def _looked_for(self, task_id: str, deadline: float, will_do: Callable[[Any], bool] = _is_there) -> Any:
        """The task's result, once there is one that will do, or None.

        Looked at again and again: what Celery offers to be told gives up for good when the broker is away for long,
        and tells nothing of a result that changes.
        """
        pause, longest = _PAUSES
        while True:
            try:
                found = self._post.results.get_task_meta(task_id, cache=False)
            except _AWAY:
                found = {}
            # Celery's own word, on a message that was revoked or whose result could not be stored, is no verdict.
            if found.get("status") == states.SUCCESS and will_do(found["result"]):
                return found["result"]
            if (left := deadline - time.monotonic()) <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(2 * pause, longest)
