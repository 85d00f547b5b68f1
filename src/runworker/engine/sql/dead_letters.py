"""Dead letters: messages that cannot be read and commands that keep failing, kept with their raw body."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func
from sqlalchemy.dialects.postgresql import insert

from runworker.codes import Code
from runworker.models import DeadLetter


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """One message that will not be handled. raw_body: the bytes as they came."""

    raw_body: bytes
    code: Code
    error: str
    task_name: str | None = None
    task_id: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def body_sha256(self) -> bytes:
        """What tells that the same message has come again: a hash of its task name and body."""
        task_name = (self.task_name or "").encode("utf-8", "surrogatepass")
        return hashlib.sha256(task_name + b"\x00" + self.raw_body).digest()

    @property
    def key(self) -> UUID:
        """The message as one of the things that may be in somebody's way."""
        return UUID(bytes=self.body_sha256[:16])


def body_of_stored(key: UUID) -> bytes:
    """The body of a letter that tells of a command in the ledger, where its payload and its verdict stand."""
    return json.dumps({"stored": str(key)}).encode()


def store(connection: Connection, letter: NewDeadLetter) -> int:
    """Keep the letter and return its id. The same message again counts up `times`."""
    new = insert(DeadLetter).values(
        body_sha256=letter.body_sha256,
        raw_body=letter.raw_body,
        headers=_storable(letter.headers),
        task_name=_storable(letter.task_name),
        task_id=_storable(letter.task_id),
        code=str(letter.code),
        error=_storable(letter.error),
    )
    counted = new.on_conflict_do_update(
        index_elements=[DeadLetter.body_sha256],
        set_={
            "times": DeadLetter.times + 1,
            "last_seen_at": func.clock_timestamp(),
            "code": new.excluded.code,
            "error": new.excluded.error,
        },
    ).returning(DeadLetter.id)
    return connection.execute(counted).scalar_one()


def _storable(value: Any) -> Any:
    """`value` with NUL, lone surrogates, NaN and infinities as text: PostgreSQL's text and jsonb cannot hold them."""
    if isinstance(value, str):
        return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {str(_storable(str(name))): _storable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | None) else str(_storable(str(value)))
