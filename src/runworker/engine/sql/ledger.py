"""The ledger: known keys, the ids that commands wait for, and verdicts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Connection,
    DateTime,
    LargeBinary,
    Text,
    Uuid,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from runworker.commands import Command
from runworker.engine.sql.arrays import RowParameters, Uuids, any_of, array
from runworker.engine.sql.ledger_rows import ROWS, LedgerRow, rows_of
from runworker.models import CommandRecord
from runworker.verdicts import Verdict

_commands = CommandRecord.__table__.c

# As the partial index has it: with a parameter in its place, a prepared statement could not use it.
_IS_WAITING = text("status = 'WAITING'")

_BLOCKED = select(_commands.idempotency_key).where(_IS_WAITING, _commands.blocked_on.op("&&")(array("changed_ids")))

BLOCKED = _BLOCKED.order_by(_commands.received_at, _commands.idempotency_key)
"""Keys of WAITING commands that a change of any id of `changed_ids` may let go on, in the order in which they came."""

_PEEK = ROWS.where(_commands.idempotency_key == any_of("keys"))
_READ = (
    ROWS.where(_commands.idempotency_key.in_(select(func.unnest(array("keys"))).union(_BLOCKED)))
    .order_by(_commands.idempotency_key)
    .with_for_update()
)

_parameters = RowParameters(
    idempotency_key=Uuid(), command=Text(), payload=JSONB(), payload_sha256=LargeBinary(), issued_by=Uuid(),
    status=Text(), run_id=Uuid(), lot_id=Uuid(), waiting_for=JSONB(), blocked_on=ARRAY(Uuid), verdict=JSONB(),
    code=Text(), task_id=Text(), decided_at=DateTime(timezone=True), expires_at=DateTime(timezone=True),
    deliveries=_commands.deliveries.type,
)  # fmt: skip
_INSERT = insert(CommandRecord).from_select(
    list(_parameters.c), select(*_parameters.c.values()), include_defaults=False
)
_UPDATE = (
    update(CommandRecord)
    .where(_commands.idempotency_key == _parameters.c["idempotency_key"])
    .values(
        {
            name: _parameters.c[name]
            for name in (
                "status", "run_id", "lot_id", "waiting_for", "blocked_on", "verdict", "code", "decided_at",
                "expires_at",
            )
        }
        # A row that an upstream put here has no task until a message for it comes. The first fingerprint stays: jsonb
        # has its own spelling of numbers, and a repeat of 1e+16 is no other command than the 10000000000000000 here.
        | {name: func.coalesce(_commands[name], _parameters.c[name]) for name in ("task_id", "payload_sha256")}
        | {"issued_by": func.coalesce(_parameters.c["issued_by"], _commands["issued_by"])}
    )
)  # fmt: skip
_repeated = RowParameters(idempotency_key=Uuid(), times=_commands.deliveries.type)
_COUNT_DELIVERIES = (
    update(CommandRecord)
    .where(_commands.idempotency_key == _repeated.c["idempotency_key"])
    .values(deliveries=_commands.deliveries + _repeated.c["times"])
)


@dataclass(frozen=True, slots=True)
class LedgerWrite:
    """A command's row, to be written. command: None for a stored one that cannot be read."""

    key: UUID
    command: Command | None
    verdict: Verdict
    blocked_on: tuple[UUID, ...]
    task_id: str | None
    deliveries: int
    expires_at: datetime | None


def peek(connection: Connection, keys: Collection[UUID]) -> list[LedgerRow]:
    """Rows of `keys`, not locked: the payload of a stored command stands, its state may change."""
    return rows_of(connection.execute(_PEEK, {"keys": Uuids(keys)})) if keys else []


def read(connection: Connection, keys: Collection[UUID], changed_ids: Collection[UUID]) -> list[LedgerRow]:
    """Rows of `keys`, and WAITING rows that a change of any id in `changed_ids` may let go on; locked, in key order."""
    return rows_of(connection.execute(_READ, {"keys": Uuids(keys), "changed_ids": Uuids(changed_ids)}))


def write(connection: Connection, new: Collection[LedgerWrite], known: Collection[LedgerWrite], now: datetime) -> None:
    """Insert `new` commands and update `known` ones with their verdicts."""
    if new:
        connection.execute(_INSERT, _parameters.parameters([_row(each, now) for each in new]))
    if known:
        connection.execute(_UPDATE, _parameters.parameters([_row(each, now) for each in known]))


def count_deliveries(connection: Connection, repeated: Mapping[UUID, int]) -> None:
    """Count up the deliveries of known keys."""
    if repeated:
        connection.execute(_COUNT_DELIVERIES, _repeated.parameters(list(repeated.items())))


def _row(write: LedgerWrite, now: datetime) -> tuple[Any, ...]:
    """In the order of `_parameters`."""
    command, verdict = write.command, write.verdict
    return (
        write.key,
        verdict.command,
        command.payload if command else None,
        command.fingerprint if command else None,
        command.issued_by if command else None,
        verdict.status,
        verdict.run_id,
        verdict.lot_id,
        verdict.waiting_for or None,
        write.blocked_on,
        verdict.as_dict(),
        verdict.code,
        write.task_id,
        now if verdict.decided else None,
        write.expires_at,
        write.deliveries,
    )
