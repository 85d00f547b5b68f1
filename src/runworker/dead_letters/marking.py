"""Replays and discards: each letter locked, looked at again, acted upon and marked, in a transaction of its own.

The mark leaves an audit event, which names who did it. Two operators at once do each letter once: the second finds it
marked.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from psycopg.errors import LockNotAvailable
from sqlalchemy import Engine, func
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from runworker.config import Settings
from runworker.dead_letters.post import Post
from runworker.dead_letters.reading import Message, message_in
from runworker.dead_letters.selection import Promise
from runworker.imports import find_user, require_role
from runworker.models import DeadLetter, UserRole

MAY_MARK: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER})


class MarkResult(StrEnum):
    """What became of a letter that was promised."""

    DONE = "done"
    REFUSED = "refused"  # it cannot be done, and stays as it was
    ELSEWHERE = "done by somebody else"  # meanwhile


@dataclass(frozen=True, slots=True)
class Marked:
    """A promised letter and what became of it. message: what was sent. why: of a refusal."""

    letter_id: int
    result: MarkResult
    message: Message | None = None
    why: str | None = None


def operator(session: Session, email: str) -> UUID:
    """The id of the user who marks letters, an ADMIN or MANAGER. Raises Rejected (UNKNOWN_USER, ROLE_NOT_ALLOWED)."""
    user = find_user(session, email)
    require_role(user, MAY_MARK, "replaying or discarding a dead letter")
    return user.id


def replay(
    database: Engine,
    settings: Settings,
    promises: Sequence[Promise],
    *,
    by: UUID,
    reason: str | None,
    dry_run: bool = False,
) -> Iterator[Marked]:
    """Send the letters' messages to the workers' queue again, under their own keys, and mark each letter.

    dry_run: do all of it, but for sending, and keep nothing.

    A crash between message and commit leaves a letter that can be replayed again: a command that took effect has no
    second effect. Raises Unavailable where the broker does not take a message, and the database's errors; letters that
    were not given back by then stay as they were.
    """
    with Post(settings) as post:

        def send(session: Session, letter: DeadLetter) -> Message:
            message = message_in(letter)
            letter.replayed_at, letter.replayed_by, letter.replay_reason = _now(), by, reason
            session.flush()  # a login that may not mark sends nothing either
            if not dry_run:
                post.send(message)
            return message

        for promise in promises:
            yield _mark(database, promise, send, keep=not dry_run)


def discard(
    database: Engine, promises: Sequence[Promise], *, by: UUID, reason: str, dry_run: bool = False
) -> Iterator[Marked]:
    """Mark the letters as needing nothing more. They stay, and come up again when their message does.

    dry_run: do it, and keep nothing.
    """

    def set_aside(_session: Session, letter: DeadLetter) -> None:
        letter.discarded_at, letter.discarded_by, letter.discard_reason = _now(), by, reason

    for promise in promises:
        yield _mark(database, promise, set_aside, keep=not dry_run)


def _mark(
    database: Engine, promise: Promise, act: Callable[[Session, DeadLetter], Message | None], *, keep: bool
) -> Marked:
    if promise.refusal is not None:
        return Marked(promise.letter_id, MarkResult.REFUSED, why=promise.refusal)
    try:
        with Session(database) as session, session.begin():
            # Locked until the mark is written: who else wants the letter waits, and finds it marked.
            letter = session.get(DeadLetter, promise.letter_id, with_for_update={"key_share": True})
            if letter is None or (letter.replayed_at, letter.discarded_at) != promise.marks:
                return Marked(promise.letter_id, MarkResult.ELSEWHERE)
            message = act(session, letter)
            if not keep:
                session.flush()
                session.rollback()
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        why = f"Dead letter {promise.letter_id} is locked by another session; try it again later."
        return Marked(promise.letter_id, MarkResult.REFUSED, why=why)
    return Marked(promise.letter_id, MarkResult.DONE, message)


def _now() -> Any:
    # The database's clock, like the times to which the mark is compared.
    return func.clock_timestamp()
