"""What a dead letter's raw body says: who sent it, and which message would ask the same again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from runworker.codes import Code
from runworker.commands import parse
from runworker.errors import InvalidMessage, RunworkerError
from runworker.ids import new_id
from runworker.models import DeadLetter

TASK_PREFIX: Final = "runworker."
BULK: Final = "runworker.apply"


class NotReplayable(RunworkerError):
    """A dead letter that cannot be sent again, or would come back as it is. The text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """A task message as its sender would send it. fields: its keyword arguments, as they came."""

    task_name: str
    task_id: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LetterSender:
    """Who sent a letter, as far as it tells. origin: the process that posted it, as Celery names it."""

    issued_by: str | None
    source: str | None
    origin: str | None

    def is_called(self, name: str) -> bool:
        """Whether `name` is the issuer's id, the source, the origin, or the host in it."""
        known = [self.issued_by, self.source, self.origin, self.origin.rpartition("@")[2] if self.origin else None]
        return name.casefold() in {each.casefold() for each in known if each}


def sender_of(letter: DeadLetter) -> LetterSender:
    """Who sent the letter."""
    try:
        _, fields = _arguments(letter)
    except NotReplayable:
        fields = {}
    return LetterSender(
        _text(fields.get("issued_by")), _text(fields.get("source")), _text(letter.headers.get("origin"))
    )


def message_in(letter: DeadLetter) -> Message:
    """The message that asks what the letter asks. Raises NotReplayable where the workers would refuse it again."""
    args, fields = _arguments(letter)
    if "stored" in fields and letter.task_name is None:
        raise NotReplayable(
            f"Dead letter {letter.id} tells of command {fields['stored']}, whose verdict stands in the ledger; "
            "send it anew, under a new key."
        )
    if args:
        raise _refused(letter, Code.POSITIONAL_ARGUMENTS, f"{len(args)} fields came without their names")
    try:
        key = _key_of_bulk(fields) if letter.task_name == BULK else _key(letter.task_name, fields)
    except InvalidMessage as error:
        raise _refused(letter, error.code, error.message) from error
    return Message(letter.task_name or "", _own_task_id(letter) or key, fields)


def _key(task_name: str | None, fields: Mapping[str, Any]) -> str:
    """The key of a single command, which has to be readable."""
    return str(parse((task_name or "").removeprefix(TASK_PREFIX), fields).idempotency_key)


def _key_of_bulk(fields: Mapping[str, Any]) -> str:
    """A new id for a message of many commands, each of which has to be readable."""
    items = fields.get("commands")
    if not isinstance(items, list) or not items or len(fields) > 1:
        raise InvalidMessage(Code.INVALID_FIELD, "commands: expected a list of commands, and no other field")
    for item in items:
        own = dict(item) if isinstance(item, Mapping) else {}
        parse(own.pop("command", item), own)
    return str(new_id())


def _own_task_id(letter: DeadLetter) -> str | None:
    """The task id under which the sender reads the result; None where the letter is one command of a bulk message."""
    alone = letter.headers.get("delivered_in", letter.task_name) == letter.task_name
    return letter.task_id if alone and letter.task_id else None


def _refused(letter: DeadLetter, code: Code, why: str) -> NotReplayable:
    return NotReplayable(f"Dead letter {letter.id} would be refused again ({code}: {why}); mend its sender.")


def _arguments(letter: DeadLetter) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments of a message: `[args, kwargs, embed]`, or an object with both, or keyword arguments alone."""
    try:
        value = json.loads(letter.raw_body)
    except (ValueError, RecursionError):
        value = None
    match value:
        case [list(args), dict(fields), *_] | {"args": list(args), "kwargs": dict(fields)}:
            return args, fields
        case dict():
            return [], value
    raise NotReplayable(f"Dead letter {letter.id} holds no Celery message that can be read: {letter.error}")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
