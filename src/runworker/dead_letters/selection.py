"""Dead letters by number, code, task, sender, age and state, and the promise of which ones will be acted upon."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from runworker.codes import Code
from runworker.dead_letters.reading import TASK_PREFIX, Message, NotReplayable, message_in, sender_of
from runworker.errors import Rejected
from runworker.imports import find_user
from runworker.models import DeadLetter
from runworker.states import DeadLetterState

_AT_A_TIME: Final = 100
"""Letters that are in memory at once, with bodies that may be long."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters: those that fit every part that is given. Of a part with several values, one is enough.

    sender: an issuer's id or e-mail address, a source, an origin or its host. since, until: when the letter was seen
    last. older_than: how long ago that has to be.
    """

    ids: Sequence[int] = ()
    codes: Sequence[str] = ()
    tasks: Sequence[str] = ()
    sender: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    older_than: timedelta | None = None
    states: Sequence[DeadLetterState] = ()


@dataclass(frozen=True, slots=True)
class Promise:
    """One letter that an operator was told of, as it was then.

    marks: when it had been replayed and discarded. message: what would be sent. refusal: why nothing can be.
    """

    letter_id: int
    marks: tuple[datetime | None, datetime | None] = (None, None)
    message: Message | None = None
    refusal: str | None = None


def letters(
    session: Session, selection: Selection, *, newest_first: bool = True
) -> Iterator[tuple[DeadLetter, DeadLetterState]]:
    """The letters of one moment and their states: those seen last first, or in the order in which they first came."""
    order = (DeadLetter.last_seen_at.desc(), DeadLetter.id.desc()) if newest_first else (DeadLetter.id,)
    state = _state()
    found = select(DeadLetter, state).where(*_conditions(selection, state)).order_by(*order)
    names = _names_of_sender(session, selection.sender)
    with session.execute(found.execution_options(yield_per=_AT_A_TIME)) as rows:
        for letter, its_state in rows:
            if not names or any(sender_of(letter).is_called(name) for name in names):
                yield letter, DeadLetterState(its_state)


def promised(session: Session, selection: Selection, *, replay: bool) -> list[Promise]:
    """The letters that will be acted upon: these and no others, whatever comes in or is done meanwhile.

    Ids that are no letter's are in it too, and say so. replay: whether they are to be sent again, and not discarded.
    """
    found = [_promise(letter, replay=replay) for letter, _ in letters(session, selection, newest_first=False)]
    missing = dict.fromkeys(selection.ids, True) | {each.letter_id: False for each in found}
    return found + [Promise(id_, refusal=_no_such(id_)) for id_, absent in missing.items() if absent]


def find_letter(session: Session, letter_id: int) -> tuple[DeadLetter, DeadLetterState]:
    """The letter with this id. Raises NotReplayable where there is none."""
    for found in letters(session, Selection(ids=[letter_id])):
        return found
    raise NotReplayable(_no_such(letter_id))


def _promise(letter: DeadLetter, *, replay: bool) -> Promise:
    marks = (letter.replayed_at, letter.discarded_at)
    if not replay:
        return Promise(letter.id, marks)
    try:
        return Promise(letter.id, marks, message=message_in(letter))
    except NotReplayable as error:
        return Promise(letter.id, marks, refusal=str(error))


def _no_such(letter_id: int) -> str:
    return f"There is no dead letter {letter_id}; `runworker dead-letters list` shows those that are."


def _state() -> ColumnElement[str]:
    """A letter's state. One that comes again after it was replayed or discarded is open again."""
    marked = func.greatest(DeadLetter.replayed_at, DeadLetter.discarded_at)
    return case(
        (or_(marked.is_(None), marked < DeadLetter.last_seen_at), DeadLetterState.OPEN.value),
        (marked == DeadLetter.discarded_at, DeadLetterState.DISCARDED.value),
        else_=DeadLetterState.REPLAYED.value,
    )


def _conditions(selection: Selection, state: ColumnElement[str]) -> Iterator[ColumnElement[bool]]:
    seen = DeadLetter.last_seen_at
    if selection.ids:
        yield DeadLetter.id.in_(selection.ids)
    if selection.codes:
        yield DeadLetter.code.in_(selection.codes)
    if selection.tasks:
        yield DeadLetter.task_name.in_([*selection.tasks, *(f"{TASK_PREFIX}{name}" for name in selection.tasks)])
    if selection.since is not None:
        yield seen >= selection.since
    if selection.until is not None:
        yield seen < selection.until
    if selection.older_than is not None:
        yield seen < func.now() - selection.older_than
    if selection.states:
        yield state.in_([each.value for each in selection.states])


def _names_of_sender(session: Session, sender: str | None) -> list[str]:
    """The words by which letters may name the sender: as given and, for a user's address, the user's id."""
    if sender is None:
        return []
    try:
        return [sender, str(find_user(session, sender).id)]
    except Rejected as error:
        if error.code is not Code.UNKNOWN_USER:
            raise
        return [sender]
