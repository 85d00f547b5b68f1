"""Quality gates and the decisions taken at them."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Numeric, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from runworker.models.base import Base, UuidKey, one_of
from runworker.states import Decision, GateType

if TYPE_CHECKING:
    from runworker.models.lot import Lot
    from runworker.models.production import Phase, Scenario
    from runworker.models.user import User


class QCGate(Base):
    """A quality gate of a scenario; `is_ccp` marks a critical control point."""

    __tablename__ = "qc_gates"
    __table_args__ = (CheckConstraint(one_of("gate_type", GateType), name="gate_type"),)

    id: Mapped[UuidKey]
    scenario_id: Mapped[UUID] = mapped_column(ForeignKey("scenarios.id"))
    gate_number: Mapped[int]
    name: Mapped[dict[str, Any]]
    gate_type: Mapped[str] = mapped_column(String(20))
    is_ccp: Mapped[bool] = mapped_column(server_default=text("false"))
    checklist: Mapped[dict[str, Any]] = mapped_column(server_default=text("'[]'::jsonb"))

    scenario: Mapped["Scenario"] = relationship(back_populates="qc_gates")
    phases: Mapped[list["Phase"]] = relationship(back_populates="qc_gate")
    qc_decisions: Mapped[list["QCDecision"]] = relationship(back_populates="qc_gate")


class QCDecision(Base):
    """One decision on one lot. `temperature_c` in degrees Celsius."""

    __tablename__ = "qc_decisions"
    __table_args__ = (CheckConstraint(one_of("decision", Decision), name="decision"),)

    id: Mapped[UuidKey]
    lot_id: Mapped[UUID] = mapped_column(ForeignKey("lots.id"), index=True)
    qc_gate_id: Mapped[UUID | None] = mapped_column(ForeignKey("qc_gates.id"))
    operator_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decision: Mapped[str] = mapped_column(String(10))
    notes: Mapped[str | None]
    temperature_c: Mapped[Decimal | None] = mapped_column(Numeric(5, 1))
    digital_signature: Mapped[str | None]
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())
    command_key: Mapped[UUID | None]
    """The command that wrote this row; NULL when it was written by hand."""

    lot: Mapped["Lot"] = relationship(back_populates="qc_decisions")
    qc_gate: Mapped["QCGate | None"] = relationship(back_populates="qc_decisions")
    operator: Mapped["User | None"] = relationship(back_populates="qc_decisions")
