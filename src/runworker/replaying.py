"""Dead letters sent again: to the queue they came from, judged by the parser that the workers use."""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine, func, update
from sqlalchemy.orm import Session

from runworker.client import Client
from runworker.commands import Command, parse
from runworker.errors import InvalidMessage, RunworkerError
from runworker.imports import find_user, require_role
from runworker.models import DeadLetter, UserRole

MAY_REPLAY: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER})
TASK_PREFIX: Final = "runworker."


class NotReplayable(RunworkerError):
    """A dead letter that cannot be sent again, or would come back as it is. The text says why."""


def find_letter(session: Session, letter_id: int) -> DeadLetter:
    """The letter with this id. Raises NotReplayable where there is none."""
    letter = session.get(DeadLetter, letter_id)
    if letter is None:
        raise NotReplayable(f"There is no dead letter {letter_id}; `runworker dead-letters list` shows those that are.")
    return letter


def replay(database: Engine, client: Client, letter_id: int, *, email: str) -> Command:
    """Send a letter's command to the queue again, and note who did it and when. Returns the command.

    It keeps its idempotency key: what took effect before has no second effect. email: of an ADMIN or MANAGER.
    Raises NotReplayable, and Rejected (UNKNOWN_USER, ROLE_NOT_ALLOWED) for who asks.
    """
    with Session(database) as session:
        user = find_user(session, email)
        require_role(user, MAY_REPLAY, "replaying a dead letter")
        command = command_in(find_letter(session, letter_id))
        replayed_by = user.id
    # Outside of any transaction, and before the note: a crash in between leaves a letter that can be replayed again.
    client.send_again(command)
    with database.begin() as connection:
        connection.execute(
            update(DeadLetter)
            .where(DeadLetter.id == letter_id)
            .values(replayed_at=func.clock_timestamp(), replayed_by=replayed_by)
        )
    return command


def command_in(letter: DeadLetter) -> Command:
    """The command that a letter's body asks for. Raises NotReplayable where the workers would refuse it again."""
    fields = _fields(letter.raw_body)
    if fields is None:
        raise NotReplayable(f"Dead letter {letter.id} holds no Celery message that can be read: {letter.error}")
    if "stored" in fields and letter.task_name is None:
        raise NotReplayable(
            f"Dead letter {letter.id} tells of command {fields['stored']}, whose verdict stands in the ledger; "
            "send it anew, under a new key."
        )
    name = (letter.task_name or "").removeprefix(TASK_PREFIX)
    try:
        return parse(name, fields)
    except InvalidMessage as error:
        raise NotReplayable(
            f"Dead letter {letter.id} would be refused again ({error.code}: {error.message}); mend its sender."
        ) from error


def _fields(body: bytes) -> Mapping[str, Any] | None:
    """The keyword arguments in a message's body: `[args, kwargs, embed]`, or an object with them, or they alone."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match value:
        case [[], dict(fields), *_] | {"args": [], "kwargs": dict(fields)}:
            return fields
        case [list(args), dict(fields), *_] if args:
            return {"args": args, **fields}
        case dict():
            return value
    return None
