"""Celery tasks: parse, call the engine, give the verdict back. No logic of the plant here."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from celery import Task
from celery.exceptions import Reject

from runworker.codes import Code
from runworker.commands import BULK_LIMIT, COMMANDS, Command, parse
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.errors import InvalidMessage, Unavailable
from runworker.states import CommandStatus
from runworker.tasks.follow_ups import FollowUps
from runworker.tasks.requests import DROPPED, Requeue
from runworker.tasks.time_limits import Overdue, heed_soft_limits
from runworker.tasks.worker_app import WorkerApp
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)

Wire = dict[str, Any]


class RunworkerTask(Task):
    """Base of our tasks. While PostgreSQL is away the message goes back to its queue.

    Celery does not check signatures, since our own parser says more exactly what is wrong.
    """

    abstract = True
    typing = False
    Request = "runworker.tasks.requests:Request"

    def __call__(self, /, *args: Any, **fields: Any) -> Any:
        """Run. Celery's own would take a field called `self` for its first parameter and lose the message."""
        return self.run(*args, **fields)

    def run(self, /, *args: Any, **fields: Any) -> Any:
        """Do the task's work, then send what is to follow. A message whose work fails is back in its queue, or kept."""
        follow_ups = FollowUps.taken_from(self.request)
        answer = self._answered(args, fields)
        follow_ups.send(self.app, self.request, answer)
        return answer

    def _answered(self, args: Sequence[Any], fields: Mapping[str, Any]) -> Any:
        heed_soft_limits()
        try:
            return self.work(args, fields)
        except (Unavailable, Overdue) as error:
            raise self._put_back(error) from error
        except Exception as error:
            _log.exception("task.failed", task=self.name, task_id=self.request.id)
            unforeseen = InvalidMessage(Code.INTERNAL_ERROR, f"runworker failed: {type(error).__name__}: {error}")
        try:
            return self.refuse(unforeseen, self.name.removeprefix("runworker."), fields, args).as_dict()
        except Exception as error:  # of any kind: the message is not kept
            raise self._put_back(error) from error

    def _put_back(self, error: BaseException) -> Reject:
        _log.warning("message.requeued", task=self.name, task_id=self.request.id, error=str(error))
        return Reject(Requeue.after(error), requeue=True)

    def work(self, args: Sequence[Any], fields: Mapping[str, Any]) -> Any:
        """Do the work of one message."""
        raise AssertionError("every task says what it does")

    def drop(self, name: str, command: Command | None = None) -> Verdict:
        """The verdict on a message that is not applied, because it expired or an operator revoked it."""
        key = command.idempotency_key if command else None
        if self.request.get(DROPPED) == "expired":
            why = f"the message came to its turn after its expires, {self.request.expires}; it was not applied. "
            what_to_do = "If it is still wanted, send it again, under the same key"
            status, code = CommandStatus.EXPIRED, Code.MESSAGE_EXPIRED
        else:
            why = f"an operator took task id {self.request.id} back (control revoke); the message was not applied. "
            what_to_do = "If it is still wanted, send it under another task id, or as a new command"
            status, code = CommandStatus.REJECTED, Code.MESSAGE_REVOKED
        return Verdict(
            status,
            name,
            key,
            command.target_run if command else None,
            code=code,
            message=why + what_to_do,
            payload_sha256=command.fingerprint.hex() if command else None,
        )

    def refuse(self, error: InvalidMessage, name: object, fields: object, args: Sequence[Any] = ()) -> Verdict:
        """Keep an unreadable command in dead_letters, as a message's body. Returns the verdict for its sender."""
        kept = self.app.engine.keep(
            NewDeadLetter(
                raw_body=json.dumps([args, fields, {}], default=str).encode(),
                code=error.code,
                error=error.message,
                task_name=f"runworker.{name}",
                task_id=self.request.id,
                headers={"delivered_in": self.name, "origin": self.request.origin},
            )
        )
        _log.warning("dead_letter.kept", dead_letter=kept, code=str(error.code), task_id=self.request.id)
        return Verdict(
            CommandStatus.REJECTED,
            name if isinstance(name, str) else None,
            _readable_key(fields),
            code=error.code,
            message=error.message,
            state={**error.facts, "dead_letter": kept},
        )


class BatchedTask(RunworkerTask):
    """A task whose messages are applied together with others that wait. By itself it does the same for one."""

    abstract = True
    Strategy = "runworker.tasks.strategy:batched"

    def read(self, args: Sequence[Any], fields: Mapping[str, Any]) -> list[Command]:
        """The commands that a message asks for. Raises InvalidMessage where one of them cannot be read."""
        raise AssertionError("every batched task says how it is read")

    def result_ids(self, task_id: str, commands: Sequence[Command]) -> dict[UUID, str]:
        """Task ids by key, whose results late verdicts go to."""
        raise AssertionError("every batched task says where late verdicts are told")

    def decide(self, commands: Sequence[Command]) -> list[Verdict]:
        """The verdicts on the commands of a message. Of one that is not applied: what the ledger knows of each."""
        if not commands:
            return []
        if not self.request.get(DROPPED):
            result_ids = {} if self.request.ignore_result else self.result_ids(self.request.id, commands)
            return self.app.engine.apply(commands, result_ids)
        known = self.app.engine.verdicts([command.idempotency_key for command in commands])
        return [
            stored.as_replay()
            if (stored := known.get(command.idempotency_key)) and stored.is_about(command.fingerprint)
            else self.drop(command.name, command)
            for command in commands
        ]

    def answer(self, verdicts: Sequence[Verdict]) -> Any:
        """The result for the sender."""
        raise AssertionError("every batched task says how it answers")


class CommandTask(BatchedTask):
    """One command a message."""

    abstract = True

    def __init__(self, command: str) -> None:
        self.name = f"runworker.{command}"
        self._command = command

    def read(self, args: Sequence[Any], fields: Mapping[str, Any]) -> list[Command]:
        """The one command."""
        _require_keywords(args)
        return [parse(self._command, fields)]

    def result_ids(self, task_id: str, commands: Sequence[Command]) -> dict[UUID, str]:
        """The message's own task id."""
        return {command.idempotency_key: task_id for command in commands}

    def answer(self, verdicts: Sequence[Verdict]) -> Wire:
        """The one verdict."""
        [verdict] = verdicts
        return verdict.as_dict()

    def work(self, args: Sequence[Any], fields: Mapping[str, Any]) -> Wire:
        """Apply the command."""
        try:
            commands = self.read(args, fields)
        except InvalidMessage as error:
            return self.refuse(error, self._command, fields, args).as_dict()
        return self.answer(self.decide(commands))


class ApplyTask(BatchedTask):
    """Many commands a message, applied in their order; a verdict for each."""

    name = "runworker.apply"

    def read(self, args: Sequence[Any], fields: Mapping[str, Any]) -> list[Command]:
        """All commands of the message."""
        _require_keywords(args)
        return [_parsed(item) for item in _listed(fields, "commands")]

    def result_ids(self, task_id: str, commands: Sequence[Command]) -> dict[UUID, str]:
        """The keys: the commands have no messages of their own, and clients use keys as task ids."""
        return {command.idempotency_key: str(command.idempotency_key) for command in commands}

    def answer(self, verdicts: Sequence[Verdict]) -> list[Wire]:
        """A verdict for each, in their order."""
        return [verdict.as_dict() for verdict in verdicts]

    def work(self, args: Sequence[Any], fields: Mapping[str, Any]) -> list[Wire] | Wire:
        """Apply the commands that can be read; refuse the others one by one."""
        try:
            _require_keywords(args)
            items = _listed(fields, "commands")
        except InvalidMessage as error:
            return self.refuse(error, "apply", fields, args).as_dict()
        read = [_parsed_or_not(item) for item in items]
        verdicts = iter(self.decide([command for command in read if isinstance(command, Command)]))
        # Kept only now: a message that goes back, as a lock is in one command's way, would keep the others each time.
        return [
            (next(verdicts) if isinstance(each, Command) else self.refuse(each, *_name_and_fields(item))).as_dict()
            for item, each in zip(items, read, strict=True)
        ]


class VerdictsTask(RunworkerTask):
    """Stored verdicts, for senders without access to the database."""

    name = "runworker.verdicts"

    def work(self, args: Sequence[Any], fields: Mapping[str, Any]) -> Wire:
        """The verdict of each key, or None where the key is unknown; a refusal where `keys` is no list of UUIDs."""
        try:
            _require_keywords(args)
            keys = [UUID(key) for key in _listed(fields, "keys")]
        except (ValueError, TypeError, AttributeError):
            return self.refuse(InvalidMessage(Code.INVALID_FIELD, "keys: expected UUIDs"), "verdicts", fields).as_dict()
        except InvalidMessage as error:
            return self.refuse(error, "verdicts", fields, args).as_dict()
        if self.request.get(DROPPED):
            return self.drop("verdicts").as_dict()  # nobody waits for the answer any more
        found = self.app.engine.verdicts(keys)
        return {str(key): found[key].as_dict() if key in found else None for key in keys}


def register(app: WorkerApp) -> None:
    """Give the application a task for every command, and the tasks that serve many at once."""
    for command in COMMANDS:
        app.register_task(CommandTask(command))
    app.register_task(ApplyTask())
    app.register_task(VerdictsTask())


def _require_keywords(args: Sequence[Any]) -> None:
    if args:
        raise InvalidMessage(
            Code.POSITIONAL_ARGUMENTS, f"expected keyword arguments only, got {len(args)} positional as well"
        )


def _name_and_fields(item: object) -> tuple[object, dict[str, Any]]:
    if not isinstance(item, dict):
        return item, {}
    return item.get("command"), {name: value for name, value in item.items() if name != "command"}


def _parsed(item: object) -> Command:
    return parse(*_name_and_fields(item))


def _parsed_or_not(item: object) -> Command | InvalidMessage:
    try:
        return _parsed(item)
    except InvalidMessage as error:
        return error


def _listed(fields: Mapping[str, Any], name: str) -> list[Any]:
    """The list of commands or keys that a message of many carries."""
    unknown = sorted(fields.keys() - {name})
    if unknown:
        raise InvalidMessage(Code.UNKNOWN_FIELD, f"{', '.join(unknown)[:200]}: no such field; expected only {name}")
    if name not in fields:
        raise InvalidMessage(Code.MISSING_FIELD, f"{name} is required")
    items = fields[name]
    if not isinstance(items, list):
        raise InvalidMessage(Code.INVALID_FIELD, f"{name}: expected a list, got {type(items).__name__}")
    if len(items) > BULK_LIMIT:
        raise InvalidMessage(Code.BATCH_TOO_LARGE, f"{name}: at most {BULK_LIMIT} a message, got {len(items)}")
    return items


def _readable_key(fields: object) -> UUID | None:
    key = fields.get("idempotency_key") if isinstance(fields, Mapping) else None
    try:
        return UUID(key) if isinstance(key, str) else key if isinstance(key, UUID) else None
    except ValueError:
        return None
