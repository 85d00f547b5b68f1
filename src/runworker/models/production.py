"""Production runs, and the scenarios, streams and phases that the plant's screens group them by."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, String, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from runworker.models.base import CHANGED_OFTEN, Base, UuidKey, one_of
from runworker.states import RunStatus

if TYPE_CHECKING:
    from runworker.models.flow import FlowVersion
    from runworker.models.lot import Lot
    from runworker.models.qc import QCGate
    from runworker.models.run import RunStepExecution
    from runworker.models.user import User


class Scenario(Base):
    """A configuration of the plant that runs belong to."""

    __tablename__ = "scenarios"

    id: Mapped[UuidKey]
    name: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    config: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    i18n: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))

    streams: Mapped[list["Stream"]] = relationship(back_populates="scenario")
    phases: Mapped[list["Phase"]] = relationship(back_populates="scenario")
    qc_gates: Mapped[list["QCGate"]] = relationship(back_populates="scenario")
    production_runs: Mapped[list["ProductionRun"]] = relationship(back_populates="scenario")


class Stream(Base):
    """One of a scenario's parallel lines, A, B or C."""

    __tablename__ = "streams"
    __table_args__ = (CheckConstraint(one_of("stream_key", "ABC"), name="stream_key"),)

    id: Mapped[UuidKey]
    scenario_id: Mapped[UUID] = mapped_column(ForeignKey("scenarios.id"))
    stream_key: Mapped[str] = mapped_column(String(1))
    name: Mapped[dict[str, Any]]
    color: Mapped[str | None] = mapped_column(String(20))
    sort_order: Mapped[int] = mapped_column(server_default=text("0"))

    scenario: Mapped["Scenario"] = relationship(back_populates="streams")
    phases: Mapped[list["Phase"]] = relationship(back_populates="stream")


class Phase(Base):
    """A stretch of a scenario that lots can be booked on."""

    __tablename__ = "phases"

    id: Mapped[UuidKey]
    scenario_id: Mapped[UUID] = mapped_column(ForeignKey("scenarios.id"))
    stream_id: Mapped[UUID | None] = mapped_column(ForeignKey("streams.id"))
    qc_gate_id: Mapped[UUID | None] = mapped_column(ForeignKey("qc_gates.id"))
    phase_number: Mapped[int]
    name: Mapped[dict[str, Any]]
    description: Mapped[dict[str, Any] | None]

    scenario: Mapped["Scenario"] = relationship(back_populates="phases")
    stream: Mapped["Stream | None"] = relationship(back_populates="phases")
    qc_gate: Mapped["QCGate | None"] = relationship(back_populates="phases")
    lots: Mapped[list["Lot"]] = relationship(back_populates="phase")


class ProductionRun(Base):
    """One execution of one published flow version. Legal moves, the pin and read-only states are kept by trigger."""

    __tablename__ = "production_runs"
    __table_args__ = (
        CheckConstraint(one_of("status", RunStatus), name="status"),
        CheckConstraint("current_step_index >= 0 AND current_step_index <= 10", name="step_index"),
        CheckConstraint(
            "CASE WHEN status = 'COMPLETED' THEN completed_at IS NOT NULL AND ended_at IS NOT NULL"
            " WHEN status = 'ABORTED' THEN completed_at IS NULL AND ended_at IS NOT NULL"
            " WHEN status = 'ARCHIVED' THEN ended_at IS NOT NULL"
            " ELSE completed_at IS NULL AND ended_at IS NULL END",
            name="times",
        ),
        CheckConstraint("char_length(status_reason) BETWEEN 10 AND 500", name="status_reason"),
        UniqueConstraint("idempotency_key", name="uq_production_runs_idempotency_key"),
        Index("idx_production_runs_flow_version", "flow_version_id"),
        Index("idx_production_runs_status", "status"),
        Index("idx_production_runs_ended_at", "ended_at", postgresql_where=text("status IN ('COMPLETED', 'ABORTED')")),
        # The row is updated at every step; room on the page keeps those updates near.
        {"postgresql_with": {"fillfactor": "70", **CHANGED_OFTEN}},
    )

    id: Mapped[UuidKey]
    run_code: Mapped[str] = mapped_column(unique=True)
    flow_version_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("flow_versions.id", name="fk_production_runs_flow_version")
    )
    scenario_id: Mapped[UUID | None] = mapped_column(ForeignKey("scenarios.id"))
    operator_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    started_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    status: Mapped[str] = mapped_column(String(20), default=RunStatus.IDLE.value, server_default=RunStatus.IDLE.value)
    current_step_index: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    daily_target_kg: Mapped[Decimal | None] = mapped_column(Numeric)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    idempotency_key: Mapped[UUID | None]
    summary: Mapped[dict[str, Any] | None]
    status_reason: Mapped[str | None]
    """The reason of the run's state: of the last hold, abort or roll-back, or the resolution of the last resume."""
    command_key: Mapped[UUID | None]
    """The command that last changed this row; NULL when it was changed by hand."""

    flow_version: Mapped["FlowVersion | None"] = relationship(back_populates="production_runs")
    scenario: Mapped["Scenario | None"] = relationship(back_populates="production_runs")
    operator: Mapped["User | None"] = relationship(foreign_keys=[operator_id], back_populates="production_runs")
    starter: Mapped["User | None"] = relationship(foreign_keys=[started_by], back_populates="production_runs_started")
    lots: Mapped[list["Lot"]] = relationship(back_populates="production_run")
    step_executions: Mapped[list["RunStepExecution"]] = relationship(
        back_populates="production_run", cascade="all, delete-orphan", order_by="RunStepExecution.step_index"
    )
