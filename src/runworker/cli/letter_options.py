"""The options by which `runworker dead-letters` selects letters, and how their values are read."""

import inspect
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from runworker.cli.moments import moment
from runworker.codes import OF_MESSAGES
from runworker.states import DeadLetterState

HIGHEST_ID: Final = 2**63 - 1
_SPAN: Final = re.compile(r"(\d{1,6})(s|min|h|d)")
_UNITS: Final = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


def _text(value: str) -> str:
    """A text that PostgreSQL can compare: an argument may hold bytes that are no UTF-8."""
    if not value.isprintable():
        raise typer.BadParameter(f"expected printable characters, got {value!a:.80}")
    return value


def _code(value: str) -> str:
    if value.upper() not in OF_MESSAGES:
        raise typer.BadParameter(f"expected one of {', '.join(OF_MESSAGES)}, got {value!a:.80}")
    return value.upper()


def _reason(value: str) -> str:
    said = _text(value).strip()
    if not 10 <= len(said) <= 500:  # noqa: PLR2004 - as every reason of a command
        raise typer.BadParameter(f"expected 10 to 500 characters, got {len(said)}")
    return said


def _span(value: str) -> timedelta:
    match = _SPAN.fullmatch(value)
    if match is None:
        raise typer.BadParameter(f"expected a number with s, min, h or d, as 90min or 7d, got {value!a:.80}")
    span = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not span:
        raise typer.BadParameter("expected more than nothing; every letter is older, and --state selects them all")
    return span


LetterId = Annotated[int, typer.Argument(metavar="ID", min=1, max=HIGHEST_ID, help="As `list` shows it.")]
LetterIds = Annotated[
    list[int] | None, typer.Argument(metavar="ID", min=1, max=HIGHEST_ID, help="As `list` shows them.")
]
_WHY: Final = typer.Option("--reason", metavar="TEXT", parser=_reason, help="Why, in 10 to 500 characters.")
Reason = Annotated[str | None, _WHY]
RequiredReason = Annotated[str, _WHY]


def _options(
    *,
    codes: Annotated[
        list[str] | None, typer.Option("--code", parser=_code, metavar="CODE", help="With this code.")
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--task", parser=_text, metavar="NAME", help="For this task, with or without runworker. before it."
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--sender", parser=_text, metavar="WHO", help="From this issued_by (or e-mail), source, origin or its host."
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since", parser=moment, metavar="TIME", help="Seen last at or after this time, UTC unless it says."
        ),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", parser=moment, metavar="TIME", help="Seen last before this time.")
    ] = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option("--older-than", parser=_span, metavar="SPAN", help="Seen last before so long: 90min, 12h, 7d."),
    ] = None,
    states: Annotated[
        list[DeadLetterState] | None,
        typer.Option("--state", case_sensitive=False, help="In this state. Repeat for more."),
    ] = None,
) -> None:
    """Each is the part of a Selection that has its name."""


def selects_letters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that select letters, which it takes as `**parts`."""
    own = inspect.signature(command)
    options = inspect.signature(_options).parameters.values()
    named = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
    command.__signature__ = own.replace(parameters=[*named, *options])  # type: ignore[attr-defined]  # Typer reads it
    command.__annotations__ |= _options.__annotations__
    return command
