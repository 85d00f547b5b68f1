"""Lots, their suppliers and their genealogy."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index, Numeric, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from runworker.models.base import CHANGED_OFTEN, Base, CreatedAt, UuidKey, one_of
from runworker.states import LotStatus, LotType

if TYPE_CHECKING:
    from runworker.models.production import Phase, ProductionRun
    from runworker.models.qc import QCDecision
    from runworker.models.user import User


class Supplier(Base):
    """A supplier of RAW lots."""

    __tablename__ = "suppliers"

    id: Mapped[UuidKey]
    code: Mapped[str] = mapped_column(String(50), unique=True)
    name: Mapped[str]
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[CreatedAt]

    lots: Mapped[list["Lot"]] = relationship(back_populates="supplier")


class Lot(Base):
    """A traceable unit of material. `weight_kg` in kilograms, `temperature_c` in degrees Celsius."""

    __tablename__ = "lots"
    __table_args__ = (
        CheckConstraint("step_index IS NULL OR (step_index >= 0 AND step_index <= 10)", name="step_index_range"),
        CheckConstraint(one_of("status", LotStatus), name="status"),
        CheckConstraint(one_of("sku_type", ("15", "30")), name="sku_type"),
        CheckConstraint("char_length(status_reason) <= 700", name="status_reason"),
        Index("idx_lots_step_index", "step_index"),
        Index("idx_lots_status", "status"),
        Index("idx_lots_production_run", "production_run_id"),
        {"postgresql_with": CHANGED_OFTEN},
    )

    id: Mapped[UuidKey]
    lot_code: Mapped[str] = mapped_column(unique=True)
    lot_type: Mapped[LotType | None] = mapped_column(Enum(LotType, name="lot_type", create_constraint=False))
    step_index: Mapped[int | None]
    status: Mapped[str] = mapped_column(
        String(20), default=LotStatus.CREATED.value, server_default=LotStatus.CREATED.value
    )
    production_run_id: Mapped[UUID | None] = mapped_column(ForeignKey("production_runs.id"))
    phase_id: Mapped[UUID | None] = mapped_column(ForeignKey("phases.id"))
    operator_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    weight_kg: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    temperature_c: Mapped[Decimal | None] = mapped_column(Numeric(5, 1))
    sku_type: Mapped[str | None] = mapped_column(String(10))
    supplier_id: Mapped[UUID | None] = mapped_column(ForeignKey("suppliers.id"))
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict, server_default=text("'{}'::jsonb"))
    created_at: Mapped[CreatedAt]
    status_reason: Mapped[str | None]
    """The reason of the lot's state: notes of its last quality decision, resolution or reason."""
    command_key: Mapped[UUID | None]
    """The command that last changed this row; NULL when it was changed by hand."""

    production_run: Mapped["ProductionRun | None"] = relationship(back_populates="lots")
    phase: Mapped["Phase | None"] = relationship(back_populates="lots")
    operator: Mapped["User | None"] = relationship(back_populates="lots")
    supplier: Mapped["Supplier | None"] = relationship(back_populates="lots")
    qc_decisions: Mapped[list["QCDecision"]] = relationship(back_populates="lot")
    parent_links: Mapped[list["LotGenealogy"]] = relationship(
        foreign_keys="LotGenealogy.child_lot_id", back_populates="child"
    )
    child_links: Mapped[list["LotGenealogy"]] = relationship(
        foreign_keys="LotGenealogy.parent_lot_id", back_populates="parent"
    )


class LotGenealogy(Base):
    """Material that went from a parent lot into a child lot, in kilograms."""

    __tablename__ = "lot_genealogy"
    __table_args__ = (
        Index("idx_lot_genealogy_parent", "parent_lot_id"),
        Index("idx_lot_genealogy_child", "child_lot_id"),
    )

    id: Mapped[UuidKey]
    parent_lot_id: Mapped[UUID] = mapped_column(ForeignKey("lots.id"))
    child_lot_id: Mapped[UUID] = mapped_column(ForeignKey("lots.id"))
    quantity_used_kg: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    linked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    command_key: Mapped[UUID | None]
    """The command that wrote this row; NULL when it was written by hand."""

    parent: Mapped["Lot"] = relationship(foreign_keys=[parent_lot_id], back_populates="child_links")
    child: Mapped["Lot"] = relationship(foreign_keys=[child_lot_id], back_populates="parent_links")
