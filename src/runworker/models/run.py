"""Steps of a production run."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from runworker.models.base import CHANGED_OFTEN, Base, CreatedAt, UuidKey, one_of
from runworker.states import StepExecutionStatus

if TYPE_CHECKING:
    from runworker.models.production import ProductionRun
    from runworker.models.user import User


class RunStepExecution(Base):
    """One step of one run. All eleven rows are written when the run starts; steps outside the plan as SKIPPED."""

    __tablename__ = "run_step_executions"
    __table_args__ = (
        UniqueConstraint("run_id", "step_index", name="uq_run_step_executions_run_step"),
        CheckConstraint("step_index >= 0 AND step_index <= 10", name="step_index"),
        CheckConstraint(one_of("status", StepExecutionStatus), name="status"),
        CheckConstraint(
            "CASE status WHEN 'PENDING' THEN started_at IS NULL AND completed_at IS NULL"
            " WHEN 'IN_PROGRESS' THEN started_at IS NOT NULL AND completed_at IS NULL"
            " WHEN 'COMPLETED' THEN started_at IS NOT NULL AND completed_at IS NOT NULL"
            " ELSE completed_at IS NULL END",
            name="times",
        ),
        # An exclusion and not a unique index: one UPDATE finishes a step and begins the next, in whatever
        # order PostgreSQL takes the rows, so the rule has to hold at the end of the statement only.
        ExcludeConstraint(
            ("run_id", "="),
            name="ex_run_step_executions_one_in_progress",
            using="btree",
            where=text("status = 'IN_PROGRESS'"),
            deferrable=True,
            initially="IMMEDIATE",
        ),
        Index("idx_run_step_executions_run", "run_id"),
        Index("idx_run_step_executions_status", "status"),
        {"postgresql_with": CHANGED_OFTEN},
    )

    id: Mapped[UuidKey]
    run_id: Mapped[UUID] = mapped_column(ForeignKey("production_runs.id", ondelete="CASCADE"))
    step_index: Mapped[int]
    node_id: Mapped[str] = mapped_column(String(50))
    status: Mapped[str] = mapped_column(
        String(20),
        default=StepExecutionStatus.PENDING.value,
        server_default=StepExecutionStatus.PENDING.value,
    )
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    operator_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    command_key: Mapped[UUID | None]
    """The command that last changed this row; NULL when it was changed by hand."""

    production_run: Mapped["ProductionRun"] = relationship(back_populates="step_executions")
    operator: Mapped["User | None"] = relationship(back_populates="step_executions")
