"""Pin runs to a flow version and follow them step by step.

    legacy        now                 back on downgrade
    ACTIVE        RUNNING             ACTIVE, and so are HOLD and IDLE
    CANCELLED     ABORTED             CANCELLED
    COMPLETED     COMPLETED           COMPLETED
    (none)        ARCHIVED            COMPLETED when it has completed_at, else CANCELLED

Legacy runs have no pin: nobody noted which version they ran. A legacy COMPLETED run was completed when it ended, or,
where nobody noted that either, not before it started. Pin, step, idempotency key, starter and completed_at have no
column to go to on downgrade; the runs themselves are all kept.

Revision ID: 20260124_production_runs
Revises: 20260124_flow_version_status
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import conv

revision = "20260124_production_runs"
down_revision = "20260124_flow_version_status"
branch_labels = None
depends_on = None

STATUS_CHECK = conv("ck_production_runs_status")
STEP_INDEX_CHECK = conv("ck_production_runs_step_index")


def upgrade() -> None:
    op.add_column("production_runs", sa.Column("flow_version_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_production_runs_flow_version", "production_runs", "flow_versions", ["flow_version_id"], ["id"]
    )
    op.add_column("production_runs", sa.Column("current_step_index", sa.Integer(), nullable=False, server_default="0"))
    op.create_check_constraint(
        STEP_INDEX_CHECK, "production_runs", "current_step_index >= 0 AND current_step_index <= 10"
    )
    op.add_column("production_runs", sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True))
    _to_new_states()

    op.add_column("production_runs", sa.Column("idempotency_key", sa.Uuid(), nullable=True))
    op.create_unique_constraint("uq_production_runs_idempotency_key", "production_runs", ["idempotency_key"])
    op.add_column("production_runs", sa.Column("started_by", sa.Uuid(), nullable=True))
    op.create_foreign_key("fk_production_runs_started_by", "production_runs", "users", ["started_by"], ["id"])
    op.create_index("idx_production_runs_flow_version", "production_runs", ["flow_version_id"])
    op.create_index("idx_production_runs_status", "production_runs", ["status"])


def downgrade() -> None:
    op.drop_index("idx_production_runs_status", "production_runs")
    op.drop_index("idx_production_runs_flow_version", "production_runs")
    op.drop_constraint("fk_production_runs_started_by", "production_runs", type_="foreignkey")
    op.drop_column("production_runs", "started_by")
    op.drop_constraint("uq_production_runs_idempotency_key", "production_runs", type_="unique")
    op.drop_column("production_runs", "idempotency_key")

    _to_old_states()
    op.drop_column("production_runs", "completed_at")
    op.drop_constraint(STEP_INDEX_CHECK, "production_runs", type_="check")
    op.drop_column("production_runs", "current_step_index")
    op.drop_constraint("fk_production_runs_flow_version", "production_runs", type_="foreignkey")
    op.drop_column("production_runs", "flow_version_id")


def _to_new_states() -> None:
    # The CHECK goes before rows move: a state is legal under the old one or the new one, never under both.
    op.execute("ALTER TABLE production_runs DROP CONSTRAINT IF EXISTS production_runs_status_check")
    op.execute("ALTER TABLE production_runs DROP CONSTRAINT IF EXISTS ck_production_runs_status")
    op.execute("UPDATE production_runs SET status = 'RUNNING' WHERE status = 'ACTIVE'")
    op.execute("UPDATE production_runs SET status = 'ABORTED' WHERE status = 'CANCELLED'")
    op.execute("UPDATE production_runs SET completed_at = coalesce(ended_at, started_at) WHERE status = 'COMPLETED'")
    op.alter_column("production_runs", "status", server_default="IDLE")
    op.create_check_constraint(
        STATUS_CHECK,
        "production_runs",
        "status IN ('IDLE','RUNNING','HOLD','COMPLETED','ABORTED','ARCHIVED')",
    )


def _to_old_states() -> None:
    op.drop_constraint(STATUS_CHECK, "production_runs", type_="check")
    op.execute("""
        UPDATE production_runs
        SET status = CASE
            WHEN status IN ('IDLE','RUNNING','HOLD') THEN 'ACTIVE'
            WHEN status = 'ARCHIVED' AND completed_at IS NOT NULL THEN 'COMPLETED'
            ELSE 'CANCELLED'
        END
        WHERE status <> 'COMPLETED'
    """)
    op.alter_column("production_runs", "status", server_default="ACTIVE")
    op.create_check_constraint(
        conv("production_runs_status_check"), "production_runs", "status IN ('ACTIVE','COMPLETED','CANCELLED')"
    )
