"""The worker's own tables: the ledger of commands and claims on it, dead letters, counters of run and lot codes."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary, String, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from runworker.models.base import CHANGED_OFTEN, GROWING, Base, one_of
from runworker.states import CommandStatus


class CommandRecord(Base):
    """The ledger: one row a command, by idempotency key. Inbox, outbox and memory of verdicts in one.

    An upstream may insert a row itself, QUEUED, within its own transaction; runworker takes it from there.
    """

    __tablename__ = "commands"
    __table_args__ = (
        CheckConstraint(one_of("status", CommandStatus), name="status"),
        CheckConstraint(
            "CASE WHEN status IN ('APPLIED','REJECTED','EXPIRED') THEN decided_at IS NOT NULL AND verdict IS NOT NULL"
            " ELSE decided_at IS NULL END",
            name="decided",
        ),
        CheckConstraint("(status = 'WAITING') = (expires_at IS NOT NULL)", name="waiting"),
        Index(
            "idx_commands_blocked_on",
            "blocked_on",
            postgresql_using="gin",
            postgresql_where=text("status = 'WAITING'"),
        ),
        Index("idx_commands_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        Index("idx_commands_queued", "received_at", postgresql_where=text("status = 'QUEUED'")),
        Index("idx_commands_run_id", "run_id"),
        Index("idx_commands_lot_id", "lot_id", postgresql_where=text("run_id IS NULL AND lot_id IS NOT NULL")),
        Index("idx_commands_decided_at", "decided_at", postgresql_where=text("decided_at IS NOT NULL")),
        {"postgresql_with": {**CHANGED_OFTEN, **GROWING}},
    )

    idempotency_key: Mapped[UUID] = mapped_column(primary_key=True)
    command: Mapped[str] = mapped_column(String(50))
    payload: Mapped[dict[str, Any]]
    payload_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    issued_by: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(20), server_default=CommandStatus.QUEUED.value)
    run_id: Mapped[UUID | None]
    lot_id: Mapped[UUID | None]
    waiting_for: Mapped[dict[str, Any] | None]
    blocked_on: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    """Ids of runs, lots and commands whose change has a WAITING command judged again: all that it is about, and the
    keys of `after` that are not decided."""
    verdict: Mapped[dict[str, Any] | None]
    code: Mapped[str | None] = mapped_column(String(50))
    task_id: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    decided_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    deliveries: Mapped[int] = mapped_column(server_default=text("0"))


class CommandClaim(Base):
    """A stored command that a worker has in hand, or that one died with. It outlives no crash of PostgreSQL.

    is_alone: the worker has nothing else in hand that it found. deaths: how many processes died of it.
    """

    __tablename__ = "command_claims"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    idempotency_key: Mapped[UUID] = mapped_column(primary_key=True)
    claimed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    is_alone: Mapped[bool] = mapped_column(server_default=text("false"))
    deaths: Mapped[int] = mapped_column(server_default=text("0"))


class DeadLetter(Base):
    """A message that could not be read, or a command that keeps failing, with all that is needed to replay it.

    Nothing is erased: a discarded letter is marked, and each mark leaves an audit event.
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        CheckConstraint("num_nonnulls(discarded_at, discarded_by, discard_reason) IN (0, 3)", name="discarded"),
        CheckConstraint(
            "coalesce(char_length(btrim(replay_reason)), 10) BETWEEN 10 AND 500"
            " AND coalesce(char_length(btrim(discard_reason)), 10) BETWEEN 10 AND 500",
            name="reasons",
        ),
        Index("idx_dead_letters_last_seen", "last_seen_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """Of task name and raw body: the same message delivered again counts up `times` and adds no row."""
    raw_body: Mapped[bytes] = mapped_column(LargeBinary)
    headers: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    task_name: Mapped[str | None]
    task_id: Mapped[str | None]
    code: Mapped[str] = mapped_column(String(50))
    error: Mapped[str]
    times: Mapped[int] = mapped_column(server_default=text("1"))
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    replayed_at: Mapped[datetime | None]
    replayed_by: Mapped[UUID | None]
    replay_reason: Mapped[str | None]
    discarded_at: Mapped[datetime | None]
    discarded_by: Mapped[UUID | None]
    discard_reason: Mapped[str | None]


class CodeCounter(Base):
    """The last number given out for a prefix, site and UTC day. Taken a block at a time, outside the batch."""

    __tablename__ = "code_counters"

    prefix: Mapped[str] = mapped_column(String(10), primary_key=True)
    site_code: Mapped[str] = mapped_column(String(4), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(BigInteger)
