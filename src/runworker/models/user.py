"""People who issue commands."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from runworker.models.base import Base, CreatedAt, UuidKey, one_of
from runworker.states import UserRole

if TYPE_CHECKING:
    from runworker.models.flow import FlowDefinition, FlowVersion
    from runworker.models.lot import Lot
    from runworker.models.production import ProductionRun
    from runworker.models.qc import QCDecision
    from runworker.models.run import RunStepExecution


class User(Base):
    """A person or system account with one role."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint(one_of("role", UserRole), name="role"),)

    id: Mapped[UuidKey]
    email: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str | None]
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[CreatedAt]
    last_login: Mapped[datetime | None]

    flow_definitions: Mapped[list["FlowDefinition"]] = relationship(
        foreign_keys="FlowDefinition.created_by", back_populates="creator"
    )
    flow_versions_created: Mapped[list["FlowVersion"]] = relationship(
        foreign_keys="FlowVersion.created_by", back_populates="creator"
    )
    flow_versions_published: Mapped[list["FlowVersion"]] = relationship(
        foreign_keys="FlowVersion.published_by", back_populates="publisher"
    )
    flow_versions_reviewed: Mapped[list["FlowVersion"]] = relationship(
        foreign_keys="FlowVersion.reviewed_by", back_populates="reviewer"
    )
    production_runs: Mapped[list["ProductionRun"]] = relationship(
        foreign_keys="ProductionRun.operator_id", back_populates="operator"
    )
    production_runs_started: Mapped[list["ProductionRun"]] = relationship(
        foreign_keys="ProductionRun.started_by", back_populates="starter"
    )
    step_executions: Mapped[list["RunStepExecution"]] = relationship(back_populates="operator")
    lots: Mapped[list["Lot"]] = relationship(back_populates="operator")
    qc_decisions: Mapped[list["QCDecision"]] = relationship(back_populates="operator")
