"""Dead letters sent again: to the queue they came from, judged by the parser that the workers use."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from runworker.codes import Code
from runworker.commands import Command, parse
from runworker.config import Settings
from runworker.errors import ConfigurationError, InvalidMessage, RunworkerError, Unavailable
from runworker.imports import find_user, require_role
from runworker.models import DeadLetter, UserRole
from runworker.tasks.worker_app import celery_settings

MAY_REPLAY: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER})
TASK_PREFIX: Final = "runworker."


class NotReplayable(RunworkerError):
    """A dead letter that cannot be sent again, or would come back as it is. The text says why."""


def newest_letters(session: Session, limit: int) -> Sequence[DeadLetter]:
    """At most so many letters, those seen last first."""
    newest = select(DeadLetter).order_by(DeadLetter.last_seen_at.desc(), DeadLetter.id.desc()).limit(limit)
    return session.scalars(newest).all()


def find_letter(session: Session, letter_id: int) -> DeadLetter:
    """The letter with this id. Raises NotReplayable where there is none."""
    letter = session.get(DeadLetter, letter_id)
    if letter is None:
        raise NotReplayable(f"There is no dead letter {letter_id}; `runworker dead-letters list` shows those that are.")
    return letter


def replay(database: Engine, settings: Settings, letter_id: int, *, email: str) -> Command:
    """Send a letter's command to the workers' queue again, and note who did it and when. Returns the command.

    It keeps its idempotency key: what took effect before has no second effect. email: of an ADMIN or MANAGER.
    Raises NotReplayable, Rejected (UNKNOWN_USER, ROLE_NOT_ALLOWED) for who asks, and Unavailable where the broker does
    not take the message.
    """
    with Session(database) as session:
        user = find_user(session, email)
        require_role(user, MAY_REPLAY, "replaying a dead letter")
        command = command_in(find_letter(session, letter_id))
        replayed_by = user.id
    # Outside of any transaction, and before the note: a crash in between leaves a letter that can be replayed again.
    _send(command, settings)
    with database.begin() as connection:
        connection.execute(
            update(DeadLetter)
            .where(DeadLetter.id == letter_id)
            .values(replayed_at=func.clock_timestamp(), replayed_by=replayed_by)
        )
    return command


def command_in(letter: DeadLetter) -> Command:
    """The command that a letter's body asks for. Raises NotReplayable where the workers would refuse it again."""
    args, fields = _arguments(letter)
    if "stored" in fields and letter.task_name is None:
        raise NotReplayable(
            f"Dead letter {letter.id} tells of command {fields['stored']}, whose verdict stands in the ledger; "
            "send it anew, under a new key."
        )
    if args:
        raise _refused(letter, Code.POSITIONAL_ARGUMENTS, f"{len(args)} fields came without their names")
    try:
        return parse((letter.task_name or "").removeprefix(TASK_PREFIX), fields)
    except InvalidMessage as error:
        raise _refused(letter, error.code, error.message) from error


def _refused(letter: DeadLetter, code: Code, why: str) -> NotReplayable:
    return NotReplayable(f"Dead letter {letter.id} would be refused again ({code}: {why}); mend its sender.")


def _arguments(letter: DeadLetter) -> tuple[list[Any], Mapping[str, Any]]:
    """What a message's body holds: `[args, kwargs, embed]`, or an object with both, or keyword arguments alone."""
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


def _send(command: Command, settings: Settings) -> None:
    """Put a command into the workers' queue, once and without waiting for what becomes of it."""
    if settings.broker_url is None:
        raise ConfigurationError(
            "No broker to send to: set RUNWORKER_BROKER_URL, or start embedded servers with `runworker up`."
        )
    key = str(command.idempotency_key)
    with Celery("runworker.replaying", broker=settings.broker_url.get_secret_value(), set_as_current=False) as celery:
        celery.conf.broker_transport_options = {
            **celery_settings(settings)["broker_transport_options"],
            "socket_connect_timeout": settings.connect_timeout_seconds,
            "socket_timeout": settings.connect_timeout_seconds,
        }
        try:
            celery.send_task(
                f"{TASK_PREFIX}{command.name}",
                kwargs={"idempotency_key": key, **command.payload},
                task_id=key,
                queue=settings.queue,
                retry=False,
            )
        except OperationalError as error:
            raise Unavailable(f"The broker did not take the message, which stays as it was: {error}") from error
