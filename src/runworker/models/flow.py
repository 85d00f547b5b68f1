"""Process descriptions and their versions."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from runworker.models.base import Base, CreatedAt, UuidKey, one_of
from runworker.states import FlowVersionStatus

if TYPE_CHECKING:
    from runworker.models.production import ProductionRun
    from runworker.models.user import User


class FlowDefinition(Base):
    """A process, named in the plant's languages; its versions hold the graphs."""

    __tablename__ = "flow_definitions"

    id: Mapped[UuidKey]
    name: Mapped[dict[str, Any]]
    description: Mapped[str | None]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    creator: Mapped["User | None"] = relationship(foreign_keys=[created_by], back_populates="flow_definitions")
    versions: Mapped[list["FlowVersion"]] = relationship(
        back_populates="flow_definition", order_by="FlowVersion.version_num"
    )


class FlowVersion(Base):
    """A snapshot of a process graph. PUBLISHED and DEPRECATED versions are immutable, by trigger."""

    __tablename__ = "flow_versions"
    __table_args__ = (
        UniqueConstraint("flow_definition_id", "version_num", name="uq_flow_versions_definition_version"),
        CheckConstraint(one_of("status", FlowVersionStatus), name="status"),
        Index("idx_flow_versions_status", "status"),
        Index(
            "uq_flow_versions_one_published",
            "flow_definition_id",
            unique=True,
            postgresql_where=text("status = 'PUBLISHED'"),
        ),
    )

    id: Mapped[UuidKey]
    flow_definition_id: Mapped[UUID] = mapped_column(ForeignKey("flow_definitions.id"))
    version_num: Mapped[int]
    status: Mapped[str] = mapped_column(
        String(20), default=FlowVersionStatus.DRAFT.value, server_default=FlowVersionStatus.DRAFT.value
    )
    graph_schema: Mapped[dict[str, Any]]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    reviewed_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    published_at: Mapped[datetime | None]
    published_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    command_key: Mapped[UUID | None]
    """The command that last changed this row; NULL when it was changed by hand."""

    flow_definition: Mapped["FlowDefinition"] = relationship(back_populates="versions")
    creator: Mapped["User | None"] = relationship(foreign_keys=[created_by], back_populates="flow_versions_created")
    publisher: Mapped["User | None"] = relationship(
        foreign_keys=[published_by], back_populates="flow_versions_published"
    )
    reviewer: Mapped["User | None"] = relationship(foreign_keys=[reviewed_by], back_populates="flow_versions_reviewed")
    production_runs: Mapped[list["ProductionRun"]] = relationship(back_populates="flow_version")
