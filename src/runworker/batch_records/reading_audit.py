"""The audit trail of a run: holds, rejections, roll-backs, changes by hand, and the seals above them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, Select, func, or_, select

from runworker.batch_records.run_record import AuditedChange, AuditSummary, CommandLine, Hold
from runworker.models import AuditArchive, AuditEvent, AuditSeal, LotGenealogy, ProductionRun, QCDecision
from runworker.states import ENDED_EARLY, CommandStatus, LotStatus, RunStatus
from runworker.upkeep.seal import Verification

THE_RUN: Final = "the run"
NOT_COMPARED: Final = frozenset({"command_key"})


@dataclass
class Events:
    """Holds, stops, changes by hand and commands that the events of a run and its lots tell of.

    adoption: of a run that an older system began. commands: all that took effect, by key.
    """

    adoption: AuditedChange | None = None

    holds: tuple[Hold, ...] = ()
    stops: tuple[AuditedChange, ...] = ()
    by_hand: tuple[AuditedChange, ...] = ()
    commands: dict[UUID, CommandLine] = field(default_factory=dict)


def read_events(connection: Connection, run_id: UUID, codes: Mapping[UUID, str]) -> Events:
    """Read the events of a run, its steps and its lots. codes: of the run's lots by id."""
    rows = connection.execute(
        select(AuditEvent.__table__)
        .where(AuditEvent.entity_id.in_([run_id, *codes]))
        .where(AuditEvent.entity.in_(["production_runs", "run_step_executions", "lots"]))
        .order_by(AuditEvent.id)
    ).all()
    subjects = {run_id: THE_RUN, **codes}
    moves = [move for row in rows if row.entity != "run_step_executions" for move in _moves(row, subjects)]
    commands: dict[UUID, CommandLine] = {}
    for row in rows:
        if row.command_key is not None:
            commands.setdefault(row.command_key, _took_effect(row, subjects))
    return Events(
        adoption=next((_change(row, subjects, None, _step_of(row)) for row in rows if _is_adoption(row)), None),
        holds=tuple(_holds(moves)),
        stops=tuple(move for move in moves if move.after in ENDED_EARLY or (move.after or "").startswith("step")),
        by_hand=tuple(_by_hand(row, subjects) for row in rows if row.command_key is None),
        commands=commands,
    )


def read_summary(
    connection: Connection, run_id: UUID, lots: Sequence[UUID], verification: Verification | None
) -> AuditSummary:
    """Count the events of a run, its lots, their links and their decisions, and find the seals above them."""
    ids = or_(
        AuditEvent.entity_id.in_([run_id, *lots]),
        AuditEvent.entity_id.in_(select(QCDecision.id).where(QCDecision.lot_id.in_(lots))),
        AuditEvent.entity_id.in_(select(LotGenealogy.id).where(LotGenealogy.child_lot_id.in_(lots))),
    )
    sealed_to = connection.execute(select(func.coalesce(func.max(AuditSeal.last_event_id), 0))).scalar_one()
    groups = connection.execute(
        select(
            AuditEvent.entity,
            AuditEvent.operation,
            func.count().label("events"),
            func.min(AuditEvent.id).label("first_id"),
            func.max(AuditEvent.id).label("last_id"),
            func.count().filter(AuditEvent.id <= sealed_to).label("sealed"),
        )
        .where(ids)
        .group_by(AuditEvent.entity, AuditEvent.operation)
        .order_by(AuditEvent.entity, AuditEvent.operation)
    ).all()
    last_id = max((row.last_id for row in groups), default=None)
    seal = connection.execute(
        select(AuditSeal.sha256, AuditSeal.sealed_at)
        .where(AuditSeal.last_event_id >= (last_id or 0))
        .order_by(AuditSeal.last_event_id)
        .limit(1)
    ).one_or_none()
    return AuditSummary(
        counts={(row.entity, row.operation): row.events for row in groups},
        first_id=min((row.first_id for row in groups), default=None),
        last_id=last_id,
        sealed=sum(row.sealed for row in groups),
        last_seal=seal.sha256.hex() if seal else None,
        last_sealed_at=seal.sealed_at if seal else None,
        archives=tuple(connection.execute(_archives(run_id, last_id or 0)).scalars()),
        verification=verification,
    )


def _archives(run_id: UUID, last_id: int) -> Select[str]:
    """Files from the month in which the run began to the one that has its last event, which stays in the table."""
    began = select(func.timezone("UTC", ProductionRun.started_at)).where(ProductionRun.id == run_id).scalar_subquery()
    return (
        select(AuditArchive.file_name)
        .where(AuditArchive.month >= func.date_trunc("month", began), AuditArchive.first_event_id <= last_id)
        .order_by(AuditArchive.month)
    )


def _moves(row: Row[Any], subjects: Mapping[UUID, str]) -> Iterator[AuditedChange]:
    """Changes of state, and steps back, that an event tells of."""
    before, after = row.before or {}, row.after or {}
    if before.get("status") != after.get("status"):
        yield _change(row, subjects, before.get("status"), after.get("status"))
    came_from, went_to = before.get("current_step_index"), after.get("current_step_index")
    if came_from is not None and went_to is not None and went_to < came_from:
        yield _change(row, subjects, f"step {came_from}", f"step {went_to}")


def _is_adoption(row: Row[Any]) -> bool:
    """Whether the run, under way, got its flow version: others have theirs from the beginning."""
    before, after = row.before or {}, row.after or {}
    began = before.get("status", RunStatus.IDLE) != RunStatus.IDLE
    return row.entity == "production_runs" and began and "flow_version_id" in after.keys() - before.keys()


def _step_of(row: Row[Any]) -> str:
    return f"step {row.after['current_step_index']}"


def _holds(moves: Sequence[AuditedChange]) -> Iterator[Hold]:
    ends: dict[int, AuditedChange] = {}
    held: dict[str, int] = {}
    for move in moves:
        if move.before == LotStatus.HOLD and move.subject in held:
            ends[held.pop(move.subject)] = move
        if move.after == LotStatus.HOLD:
            held[move.subject] = move.event_id
    for move in moves:
        if move.after == LotStatus.HOLD:
            yield Hold(move, ends.get(move.event_id))


def _by_hand(row: Row[Any], subjects: Mapping[UUID, str]) -> AuditedChange:
    """A change that names no command, told by the columns that differ."""
    before, after = row.before or {}, row.after or {}
    different = [name for name in sorted({*before, *after} - NOT_COMPARED) if before.get(name) != after.get(name)]
    if row.entity == "run_step_executions":
        told = [", ".join(f"step {name}" for name in different)] * 2
    else:
        told = [", ".join(f"{name} {image.get(name, '-')}" for name in different) for image in (before, after)]
    return _change(row, subjects, told[0] if row.before else None, told[1] if row.after else None)


def _change(row: Row[Any], subjects: Mapping[UUID, str], before: str | None, after: str | None) -> AuditedChange:
    return AuditedChange(
        event_id=row.id,
        subject=subjects[row.entity_id],
        at=row.at,
        before=before,
        after=after,
        reason=(row.after or {}).get("status_reason"),
        actor=row.actor,
        command=row.command,
        db_user=row.db_user,
    )


def _took_effect(row: Row[Any], subjects: Mapping[UUID, str]) -> CommandLine:
    return CommandLine(
        key=row.command_key,
        command=row.command or "",
        status=CommandStatus.APPLIED,
        at=row.at,
        issued_by=row.actor,
        about=subjects[row.entity_id],
        fields={},
        code=None,
        message=None,
        remembered=False,
    )
