"""Every command about a run and its lots: as the ledger has it, else as the audit trail tells of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select

from runworker.batch_records.reading_audit import THE_RUN
from runworker.batch_records.run_record import CommandLine
from runworker.engine.sql.ledger_rows import document, readable
from runworker.models import CommandRecord
from runworker.states import CommandStatus

_commands: Final = CommandRecord.__table__.c

TOLD_ELSEWHERE: Final = frozenset(
    {"run_id", "lot_id", "issued_by", "issued_at", "source", "correlation_id", "after", "flow_version_id"}
)
"""Fields of a command that its line has columns for, or that only its sender needs."""


def read_commands(
    connection: Connection,
    run_id: UUID,
    codes: Mapping[UUID, str],
    lots: Sequence[UUID],
    took_effect: Mapping[UUID, CommandLine],
) -> tuple[CommandLine, ...]:
    """Commands in the order in which they were decided.

    codes: of all lots and suppliers that may be named. lots: the run's own. took_effect: by key, from the audit trail.
    """
    rows = connection.execute(
        select(
            *(column for column in _commands if column.name not in ("payload", "verdict")),
            readable(_commands.payload).label("payload"),
            readable(_commands.verdict).label("verdict"),
        ).where(
            or_(
                CommandRecord.run_id == run_id,
                # Where a command about a lot names no run, it was refused: see the index on lot_id.
                and_(CommandRecord.run_id.is_(None), CommandRecord.lot_id.in_(lots)),
                CommandRecord.idempotency_key.in_(list(took_effect)),
            )
        )
    )
    remembered = {row.idempotency_key: _line(row, codes) for row in rows}
    forgotten = [line for key, line in took_effect.items() if key not in remembered]
    return tuple(sorted((*remembered.values(), *forgotten), key=lambda line: (line.at, str(line.key))))


def _line(row: Any, codes: Mapping[UUID, str]) -> CommandLine:
    verdict, payload = _fields(row.verdict), _fields(row.payload)
    fields = {name: _as_text(value, codes) for name, value in payload.items() if name not in TOLD_ELSEWHERE}
    about = codes.get(row.lot_id, str(row.lot_id)) if row.lot_id else THE_RUN
    return CommandLine(
        key=row.idempotency_key,
        command=row.command,
        status=CommandStatus(row.status),
        at=row.decided_at or row.received_at,
        issued_by=row.issued_by,
        about=about,
        fields=fields,
        code=row.code,
        message=_with_codes(verdict.get("message"), codes),
        remembered=True,
    )


def _fields(written: str | None) -> Mapping[str, Any]:
    """What upstreams put into the ledger may be no object."""
    found = document(written)
    return found if isinstance(found, dict) else {}


def _as_text(value: Any, codes: Mapping[UUID, str]) -> str:
    """A field's value as a person reads it: lots by their codes."""
    if isinstance(value, list):
        return "; ".join(_as_text(each, codes) for each in value)
    if isinstance(value, dict):
        return " ".join(_as_text(each, codes) for each in value.values())
    return _with_codes(str(value), codes) or ""


def _with_codes(text: str | None, codes: Mapping[UUID, str]) -> str | None:
    """Text with the ids of known lots replaced by their codes."""
    if text is None:
        return None
    return " ".join(_code_of(word, codes) for word in text.split(" "))


def _code_of(word: str, codes: Mapping[UUID, str]) -> str:
    bare = word.strip(",;:.")
    if len(bare) != len("00000000-0000-0000-0000-000000000000"):
        return word
    try:
        return word.replace(bare, codes.get(UUID(bare), bare))
    except ValueError:
        return word
