"""The audit trail. Written by triggers only, so that a change made by hand is recorded too."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, LargeBinary, String, func
from sqlalchemy.orm import Mapped, mapped_column

from runworker.models.base import GROWING, Base


class AuditEvent(Base):
    """One change of one entity. `before` and `after` are whole rows without their NULLs.

    The steps of a run change together, so they make one event a statement: entity `run_step_executions`,
    entity_id the run, and objects keyed by step index. `command_key` and `actor` are NULL for a change by hand;
    `db_user` is the user of the connection in any case.
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index("idx_audit_events_entity", "entity_id", "id"), {"postgresql_with": GROWING})

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    entity: Mapped[str] = mapped_column(String(30))
    entity_id: Mapped[UUID]
    operation: Mapped[str] = mapped_column(String(10))
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    command_key: Mapped[UUID | None]
    command: Mapped[str | None] = mapped_column(String(50))
    actor: Mapped[UUID | None]
    db_user: Mapped[str]
    xact_id: Mapped[int] = mapped_column(BigInteger)
    """Transaction that wrote it. A range is sealed only when no older transaction can still add to it."""


class AuditSeal(Base):
    """A closed range of audit events and the SHA-256 over it and the seal before it."""

    __tablename__ = "audit_seals"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    first_event_id: Mapped[int] = mapped_column(BigInteger)
    last_event_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    events: Mapped[int] = mapped_column(BigInteger)
    previous_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditArchive(Base):
    """A month of events that a file has: which seals and events, and the file's name and SHA-256.

    Of these events the table keeps the last one of each row. The month is that of the seals' last events, in UTC; it is
    named by its first day.
    """

    __tablename__ = "audit_archives"

    month: Mapped[date] = mapped_column(primary_key=True)
    first_seal_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    last_seal_id: Mapped[int] = mapped_column(BigInteger)
    first_event_id: Mapped[int] = mapped_column(BigInteger)
    last_event_id: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    file_name: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    archived_at: Mapped[datetime] = mapped_column(server_default=func.now())
