"""Add run_step_executions: one row for each step of a run.

Revision ID: 20260124_run_step_executions
Revises: 20260124_production_runs
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import conv

from runworker.online_changes import lock_tables

revision = "20260124_run_step_executions"
down_revision = "20260124_production_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("production_runs", "users")
    op.create_table(
        "run_step_executions",
        sa.Column("id", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step_index", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.String(50), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="PENDING"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("operator_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["run_id"], ["production_runs.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["operator_id"], ["users.id"]),
        sa.UniqueConstraint("run_id", "step_index", name="uq_run_step_executions_run_step"),
        sa.CheckConstraint("step_index >= 0 AND step_index <= 10", name=conv("ck_run_step_executions_step_index")),
        sa.CheckConstraint(
            "status IN ('PENDING','IN_PROGRESS','COMPLETED','SKIPPED')", name=conv("ck_run_step_executions_status")
        ),
    )
    op.create_index("idx_run_step_executions_run", "run_step_executions", ["run_id"])
    op.create_index("idx_run_step_executions_status", "run_step_executions", ["status"])


def downgrade() -> None:
    op.drop_index("idx_run_step_executions_status", "run_step_executions")
    op.drop_index("idx_run_step_executions_run", "run_step_executions")
    op.drop_table("run_step_executions")
