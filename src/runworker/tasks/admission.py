"""Admission: each message is checked here before Celery sees it.

Celery trusts the envelope of its own protocol. A part of the wrong type ends the worker that looks at it, the message
comes back to the next one, and so a single broken sender stops the plant.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from typing import Annotated, Any, Final

from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.message import Message
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from runworker.codes import Code
from runworker.errors import InvalidMessage
from runworker.safe_text import is_storable
from runworker.transport import is_deeper

_LEVELS: Final = 64
"""Levels that a body may nest. A pool has to pickle it, and Python's recursion ends at some hundred."""


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("contains a NUL character or half of a surrogate pair")
    return text


def _moment(text: str) -> str:
    """A time that Celery can read, and reckon with in any time zone: one that it cannot would be its FAILURE."""
    try:
        moment = maybe_make_aware(maybe_iso8601(text))
        for zone in (UTC, None):  # None: the worker's own
            moment.astimezone(zone).timestamp()
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no time that can be used: {error}") from None
    return text


_Text = Annotated[str, AfterValidator(_storable)]
_Moment = Annotated[_Text, AfterValidator(_moment)]
_Name = Annotated[_Text, Field(min_length=1)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
_Signatures = list[dict[str, Any]] | None


class _Request(BaseModel):
    """The parts of a task message that Celery uses, of both its protocols. Others pass unseen."""

    model_config = ConfigDict(strict=True)

    task: _Name
    id: _Name
    args: list[Any] = []
    fields: Annotated[dict[str, Any], Field(alias="kwargs")]
    shadow: _Text | None = None
    eta: _Moment | None = None
    expires: _Moment | None = None
    timelimit: Annotated[list[_Seconds], Field(min_length=2, max_length=2)] | None = None
    stamped_headers: list[_Text] | None = None
    stamps: dict[str, Any] | None = None
    callbacks: _Signatures = None
    errbacks: _Signatures = None
    chain: _Signatures = None
    chord: dict[str, Any] | None = None


def require_task_message(message: Message) -> None:
    """Raise unless the message is a task message whose parts Celery can handle.

    Raises InvalidMessage, which says what is wrong, or kombu's error for a body that it cannot decode.
    """
    body = message.decode()
    headers: Mapping[str, Any] = message.headers
    match body:
        case [list() as args, dict() as kwargs, dict() | None as embed] if "task" in headers:
            parts = {**headers, **(embed or {}), "args": args, "kwargs": kwargs}
        case {"args": _} if "task" in headers:
            parts = {**body, **headers}
        case {"task": _} if "task" not in headers:
            parts = dict(body)
        case _:
            raise InvalidMessage(Code.MALFORMED_MESSAGE, "expected a task's name and the body [args, kwargs, embed]")
    try:
        _Request.model_validate(parts)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, detail['loc']))[:60]}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_context=False, include_input=False)[:5]
        )
        raise InvalidMessage(Code.MALFORMED_MESSAGE, f"no Celery task message: {said}") from None
    if is_deeper(body, _LEVELS):
        raise InvalidMessage(Code.MALFORMED_MESSAGE, f"the body nests deeper than {_LEVELS} levels")


def name_and_id(message: Message) -> tuple[str | None, str | None]:
    """The task's name and id, as far as the message tells them. It need not be readable."""
    parts: Mapping[str, Any] = message.headers
    if "task" not in parts:
        with suppress(Exception):  # as in `require_task_message`
            parts = message.payload if isinstance(message.payload, Mapping) else parts
    name, id_ = parts.get("task"), parts.get("id")
    return name if isinstance(name, str) else None, id_ if isinstance(id_, str) else None


def raw_body(message: Message) -> bytes:
    """The body's bytes, as they came."""
    return message.body.encode("utf-8", "surrogatepass") if isinstance(message.body, str) else bytes(message.body)
