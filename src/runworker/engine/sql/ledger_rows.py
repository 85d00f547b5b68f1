"""Rows of the ledger as they are read.

Others write rows, too. Whatever one holds, it is read: documents come as text, none that is too large, and a part that
cannot be read spoils its own row alone.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Text, and_, case, cast, func, literal_column, not_, select
from sqlalchemy.sql.elements import ColumnElement

from runworker.codes import Code
from runworker.commands import Command, parse
from runworker.errors import InvalidMessage
from runworker.models import CommandRecord
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

_commands = CommandRecord.__table__.c

MOST_BYTES: Final = 1_048_576
"""Of a payload as text. guard_commands_payload takes none that is larger; a row of before it may be."""

MOST_LEVELS: Final = 64
"""That a payload may nest, as messages may."""


def readable(document: ColumnElement[Any]) -> ColumnElement[str | None]:
    """A JSONB column as text, and NULL where it is too large or nested too deep to be read."""
    deep: ColumnElement[str] = literal_column(f"'strict $.**{{{MOST_LEVELS + 1}}}'")
    fits = and_(func.octet_length(cast(document, Text)) <= MOST_BYTES, not_(func.jsonb_path_exists(document, deep)))
    return case((fits, cast(document, Text)))


ROWS = select(
    _commands.idempotency_key,
    _commands.command,
    readable(_commands.payload),
    _commands.payload_sha256,
    _commands.status,
    _commands.run_id,
    _commands.lot_id,
    _commands.code,
    readable(_commands.waiting_for),
    readable(_commands.verdict),
    _commands.task_id,
    _commands.received_at,
    _commands.decided_at,
    _commands.expires_at,
)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A ledger row as read and locked. payload: as text, None where it is too large or nested too deep."""

    idempotency_key: UUID
    command: str
    payload: str | None
    payload_sha256: bytes | None
    status: CommandStatus
    run_id: UUID | None
    lot_id: UUID | None
    code: str | None
    waiting_for: Any
    verdict: Any
    task_id: str | None
    received_at: datetime
    decided_at: datetime | None
    expires_at: datetime | None

    def read(self) -> Command:
        """The command. Raises InvalidMessage where an upstream put something else here."""
        if self.payload is None:
            raise InvalidMessage(
                Code.MALFORMED_MESSAGE,
                f"the payload is larger than {MOST_BYTES} bytes as text, or nested deeper than {MOST_LEVELS} levels",
            )
        try:
            fields = json.loads(self.payload)
        except (ValueError, RecursionError) as error:  # a number of more than 4,300 digits, for one
            raise InvalidMessage(Code.MALFORMED_MESSAGE, f"the payload cannot be read: {error}") from None
        key = {"idempotency_key": str(self.idempotency_key)}
        return parse(self.command, fields | key if isinstance(fields, dict) else fields)

    @property
    def awaited_keys(self) -> tuple[UUID, ...] | None:
        """Keys of `after` that were undecided when the command was judged last. None where it never was."""
        try:
            return None if self.waiting_for is None else tuple(map(UUID, self.waiting_for.get("after", ())))
        except (AttributeError, TypeError, ValueError):
            return None

    @property
    def told(self) -> Verdict:
        """The stored verdict. Where somebody else wrote something else there, what the other columns tell."""
        try:
            return Verdict.from_dict(self.verdict)
        except (AttributeError, KeyError, TypeError, ValueError):
            return Verdict(self.status, self.command, self.idempotency_key, self.run_id, self.lot_id, self.code)


def rows_of(found: Iterable[Any]) -> list[LedgerRow]:
    """What a statement of `ROWS` found."""
    return [
        LedgerRow(
            key, name, payload, digest, CommandStatus(status), run, lot, code, document(wait), document(told), *rest
        )
        for key, name, payload, digest, status, run, lot, code, wait, told, *rest in found
    ]


def document(written: str | None) -> Any:
    """What a `readable` column holds. None where it cannot be read, for a number of more than 4,300 digits, for one."""
    try:
        return None if written is None else json.loads(written)
    except (ValueError, RecursionError):
        return None
