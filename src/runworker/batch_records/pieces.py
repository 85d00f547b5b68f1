"""Small pieces that both pages are made of: times, people, states and lots as HTML."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from runworker.batch_records.markup import Content, Html, joined, tag
from runworker.batch_records.run_record import AuditedChange, Person
from runworker.batch_records.words import SYMBOLS, TONES

State = TypeVar("State", bound=StrEnum)


def state(name: str) -> Html:
    """A state: its sign and its name, framed."""
    return tag("span", f"{SYMBOLS.get(name, '')} {name}", class_=f"state {TONES.get(name, 'good')}")


def time(at: datetime | None) -> Html | None:
    """A time in UTC, to the second."""
    return None if at is None else tag("span", f"{at:%Y-%m-%d %H:%M:%S}", class_="time")


def code(text: str | None) -> Html | None:
    """A code, kept on one line."""
    return None if text is None else tag("span", text, class_="code")


def person(who: UUID | None, people: Mapping[UUID, Person]) -> str | None:
    """A person by name, or the id of one that the list of users has not."""
    if who is None:
        return None
    return people[who].name if who in people else f"unknown user {who}"


def changed_by(change: AuditedChange, people: Mapping[UUID, Person]) -> str:
    """Who made a change: who issued its command, or who was connected to the database."""
    return person(change.actor, people) or f"by hand, as database user {change.db_user}"


def section(heading: str, explanation: str, *content: Content) -> Html:
    """A part of a page, with a sentence on how to read it."""
    return tag("section", tag("h2", heading), tag("p", explanation, class_="lead"), *content)


def meanings(words: Mapping[State, str], used: Iterable[State]) -> Html:
    """What the states on this page mean."""
    found = set(used)
    listed = [tag("li", state(each), f" {meaning}") for each, meaning in words.items() if each in found]
    return tag("ul", *listed, class_="meanings") if listed else joined(())
