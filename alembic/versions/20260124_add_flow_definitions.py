"""Baseline: the plant's tables as they were before flow versions pinned runs.

Where an older system made these tables already, they are taken over as they are. For the same reason a downgrade drops
them only when they are all empty: their rows are the plant's, older than this project, and are found again by the next
upgrade.

Revision ID: 20260124_add_flow_definitions
Revises:
"""

import sys
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import conv

from runworker.errors import ConfigurationError

revision = "20260124_add_flow_definitions"
down_revision = None
branch_labels = None
depends_on = None

LEGACY_LOT_TYPES = ("RAW", "DEB", "BULK", "MIX", "SKW", "FRZ", "FG", "PAL", "SHIP")
TABLES = (
    "users",
    "scenarios",
    "streams",
    "qc_gates",
    "phases",
    "flow_definitions",
    "flow_versions",
    "production_runs",
    "lots",
    "lot_genealogy",
    "qc_decisions",
)


def upgrade() -> None:
    present = set(sa.inspect(op.get_bind()).get_table_names())
    missing = [table for table in TABLES if table not in present]
    if not missing:
        sys.stderr.write("runworker: the baseline's tables are there already and are taken over\n")
        return
    if len(missing) < len(TABLES):
        raise ConfigurationError(
            f"Some of the baseline's tables are there and some are not ({', '.join(missing)}). A database to migrate"
            " has all of them, from an older system, or none."
        )
    _people_and_scenarios()
    _flows()
    _runs()
    _lots()


def downgrade() -> None:
    if any(op.get_bind().scalar(sa.exists().select_from(sa.table(table)).select()) for table in TABLES):
        sys.stderr.write("runworker: the baseline's tables hold rows and are left as they are\n")
        return
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP TYPE lot_type")


def _id() -> "sa.Column[Any]":
    return sa.Column("id", sa.Uuid(), primary_key=True, server_default=sa.text("gen_random_uuid()"))


def _time(name: str, *, now: bool = False) -> "sa.Column[Any]":
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not now, server_default=default)


def _document(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[Any]":
    server_default = sa.text(f"'{default}'::jsonb") if default else None
    return sa.Column(name, postgresql.JSONB(), nullable=nullable, server_default=server_default)


def _reference(name: str, target: str, *, nullable: bool = True) -> "sa.Column[Any]":
    return sa.Column(name, sa.Uuid(), sa.ForeignKey(f"{target}.id"), nullable=nullable)


def _people_and_scenarios() -> None:
    op.create_table(
        "users",
        _id(),
        sa.Column("email", sa.Text(), nullable=False, unique=True),
        sa.Column("full_name", sa.Text()),
        sa.Column("role", sa.String(20), nullable=False),
        _time("created_at", now=True),
        _time("last_login"),
        sa.CheckConstraint("role IN ('ADMIN','MANAGER','AUDITOR','OPERATOR','VIEWER')", name="role"),
    )
    op.create_table(
        "scenarios",
        _id(),
        _document("name"),
        sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1")),
        _document("config", default="{}"),
        _document("i18n", default="{}"),
        sa.Column("is_active", sa.Boolean(), nullable=False, server_default=sa.text("true")),
    )
    op.create_table(
        "streams",
        _id(),
        _reference("scenario_id", "scenarios", nullable=False),
        sa.Column("stream_key", sa.String(1), nullable=False),
        _document("name"),
        sa.Column("color", sa.String(20)),
        sa.Column("sort_order", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.CheckConstraint("stream_key IN ('A','B','C')", name="stream_key"),
    )
    op.create_table(
        "qc_gates",
        _id(),
        _reference("scenario_id", "scenarios", nullable=False),
        sa.Column("gate_number", sa.Integer(), nullable=False),
        _document("name"),
        sa.Column("gate_type", sa.String(20), nullable=False),
        sa.Column("is_ccp", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        _document("checklist", default="[]"),
        sa.CheckConstraint("gate_type IN ('CHECKPOINT','BLOCKING','INFO')", name="gate_type"),
    )
    op.create_table(
        "phases",
        _id(),
        _reference("scenario_id", "scenarios", nullable=False),
        _reference("stream_id", "streams"),
        _reference("qc_gate_id", "qc_gates"),
        sa.Column("phase_number", sa.Integer(), nullable=False),
        _document("name"),
        _document("description", nullable=True),
    )


def _flows() -> None:
    op.create_table(
        "flow_definitions",
        _id(),
        _document("name"),
        sa.Column("description", sa.Text()),
        _reference("created_by", "users"),
        _time("created_at", now=True),
        _time("updated_at", now=True),
    )
    op.create_table(
        "flow_versions",
        _id(),
        _reference("flow_definition_id", "flow_definitions", nullable=False),
        sa.Column("version_num", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="DRAFT"),
        _document("graph_schema"),
        _reference("created_by", "users"),
        _time("published_at"),
        _reference("published_by", "users"),
        _time("created_at", now=True),
        sa.UniqueConstraint("flow_definition_id", "version_num", name="uq_flow_versions_definition_version"),
        sa.CheckConstraint("status IN ('DRAFT','PUBLISHED','ARCHIVED')", name=conv("flow_versions_status_check")),
    )


def _runs() -> None:
    op.create_table(
        "production_runs",
        _id(),
        sa.Column("run_code", sa.Text(), nullable=False, unique=True),
        _reference("scenario_id", "scenarios"),
        _reference("operator_id", "users"),
        sa.Column("status", sa.String(20), nullable=False, server_default="ACTIVE"),
        sa.Column("daily_target_kg", sa.Numeric()),
        _time("started_at", now=True),
        _time("ended_at"),
        _document("summary", nullable=True),
        sa.CheckConstraint("status IN ('ACTIVE','COMPLETED','CANCELLED')", name=conv("production_runs_status_check")),
    )


def _lots() -> None:
    op.create_table(
        "lots",
        _id(),
        sa.Column("lot_code", sa.Text(), nullable=False, unique=True),
        sa.Column("lot_type", sa.Enum(*LEGACY_LOT_TYPES, name="lot_type", create_constraint=False)),
        _reference("production_run_id", "production_runs"),
        _reference("phase_id", "phases"),
        _reference("operator_id", "users"),
        sa.Column("weight_kg", sa.Numeric(10, 2)),
        sa.Column("temperature_c", sa.Numeric(5, 1)),
        _document("metadata", default="{}"),
        _time("created_at", now=True),
    )
    op.create_table(
        "lot_genealogy",
        _id(),
        _reference("parent_lot_id", "lots", nullable=False),
        _reference("child_lot_id", "lots", nullable=False),
        sa.Column("quantity_used_kg", sa.Numeric(10, 2)),
        _time("linked_at", now=True),
    )
    op.create_table(
        "qc_decisions",
        _id(),
        _reference("lot_id", "lots", nullable=False),
        _reference("qc_gate_id", "qc_gates"),
        _reference("operator_id", "users"),
        sa.Column("decision", sa.String(10), nullable=False),
        sa.Column("notes", sa.Text()),
        sa.Column("temperature_c", sa.Numeric(5, 1)),
        sa.Column("digital_signature", sa.Text()),
        _time("decided_at", now=True),
        sa.CheckConstraint("decision IN ('PASS','HOLD','FAIL')", name="decision"),
    )
