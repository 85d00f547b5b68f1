"""Reads what the checker holds against the client's history: ledger, dead letters, audit trail, kilograms."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, func, select

from runworker.models import AuditEvent, CommandRecord, DeadLetter, Lot, LotGenealogy
from runworker.simulation.chaos.checker import Evidence, LedgerEntry, OverdrawnLot, RepeatedChange
from runworker.simulation.database_state import one_of

_SHORT: Final = 200
"""Bytes of a body that is a damaged item as a whole: it has no task id, so it is known by what it says."""

_LETTERS = select(
    DeadLetter.task_id, func.length(DeadLetter.raw_body) < _SHORT, func.substr(DeadLetter.raw_body, 1, _SHORT)
)

_TAKEN = func.sum(LotGenealogy.quantity_used_kg)
_OVERDRAWN = (
    select(Lot.id, Lot.weight_kg, _TAKEN)
    .join(LotGenealogy, LotGenealogy.parent_lot_id == Lot.id)
    .group_by(Lot.id)
    .having(Lot.weight_kg < _TAKEN)
)


def read_evidence(connection: Connection, keys: Collection[str]) -> Evidence:
    """Read all there is about these keys. Letters and lots are those of the whole database."""
    uuids = [UUID(key) for key in keys]
    return Evidence(_ledger(connection, uuids), _letters(connection), _repeated(connection, uuids), _lots(connection))


def _ledger(connection: Connection, keys: Collection[UUID]) -> tuple[LedgerEntry, ...]:
    found = select(
        CommandRecord.idempotency_key,
        CommandRecord.command,
        CommandRecord.status,
        CommandRecord.run_id,
        CommandRecord.payload["to_step_index"].as_integer(),
        CommandRecord.verdict,
    ).where(CommandRecord.idempotency_key == one_of(keys))
    return tuple(
        LedgerEntry(str(key), command, status, str(run_id) if run_id else None, step, verdict)
        for key, command, status, run_id, step, verdict in connection.execute(found)
    )


def _letters(connection: Connection) -> frozenset[str]:
    letters = set()
    for task_id, is_short, body in connection.execute(_LETTERS):
        if task_id:
            letters.add(task_id)
        elif is_short:
            letters.add(bytes(body).decode(errors="replace"))
    return frozenset(letters)


def _repeated(connection: Connection, keys: Collection[UUID]) -> tuple[RepeatedChange, ...]:
    columns = AuditEvent.command_key, AuditEvent.entity, AuditEvent.entity_id
    found = (
        select(*columns, func.count())
        .where(AuditEvent.command_key == one_of(keys))
        .group_by(*columns)
        .having(func.count() > 1)
    )
    return tuple(
        RepeatedChange(str(key), entity, str(entity_id), times)
        for key, entity, entity_id, times in connection.execute(found)
    )


def _lots(connection: Connection) -> tuple[OverdrawnLot, ...]:
    return tuple(OverdrawnLot(str(lot_id), str(kg), str(taken)) for lot_id, kg, taken in connection.execute(_OVERDRAWN))
