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

from alembic import op
from sqlalchemy.schema import conv

from runworker.online_changes import backfill, change_table, create_index, validate

revision = "20260124_production_runs"
down_revision = "20260124_flow_version_status"
branch_labels = None
depends_on = None

STATUS_CHECK = conv("ck_production_runs_status")
STEP_INDEX_CHECK = conv("ck_production_runs_step_index")
IDEMPOTENCY_KEY = "uq_production_runs_idempotency_key"


def upgrade() -> None:
    # The CHECK goes before rows move: a state is legal under the old one or the new one, never under both. A column
    # that comes with its reference is NULL everywhere, and no row is looked at.
    change_table(
        "production_runs",
        f"""
        ALTER TABLE production_runs
            ADD COLUMN flow_version_id uuid CONSTRAINT fk_production_runs_flow_version REFERENCES flow_versions (id),
            ADD COLUMN current_step_index integer NOT NULL DEFAULT 0,
            ADD COLUMN completed_at timestamptz,
            ADD COLUMN idempotency_key uuid,
            ADD COLUMN started_by uuid CONSTRAINT fk_production_runs_started_by REFERENCES users (id),
            ADD CONSTRAINT {STEP_INDEX_CHECK} CHECK (current_step_index >= 0 AND current_step_index <= 10) NOT VALID,
            DROP CONSTRAINT IF EXISTS production_runs_status_check,
            DROP CONSTRAINT IF EXISTS {STATUS_CHECK}
        """,
        unless=STEP_INDEX_CHECK,
    )
    _to_new_states()
    change_table(
        "production_runs",
        f"""
        ALTER TABLE production_runs
            ALTER COLUMN status SET DEFAULT 'IDLE',
            ADD CONSTRAINT {STATUS_CHECK}
                CHECK (status IN ('IDLE','RUNNING','HOLD','COMPLETED','ABORTED','ARCHIVED')) NOT VALID
        """,
        unless=STATUS_CHECK,
    )
    _to_new_states()  # of runs that came before the CHECK
    validate("production_runs", STEP_INDEX_CHECK, STATUS_CHECK)

    create_index(IDEMPOTENCY_KEY, "production_runs (idempotency_key)", unique=True)
    change_table(
        "production_runs",
        f"ALTER TABLE production_runs ADD CONSTRAINT {IDEMPOTENCY_KEY} UNIQUE USING INDEX {IDEMPOTENCY_KEY}",
        unless=IDEMPOTENCY_KEY,
    )
    create_index("idx_production_runs_flow_version", "production_runs (flow_version_id)")
    create_index("idx_production_runs_status", "production_runs (status)")


def downgrade() -> None:
    op.drop_index("idx_production_runs_status", "production_runs")
    op.drop_index("idx_production_runs_flow_version", "production_runs")
    op.drop_constraint("fk_production_runs_started_by", "production_runs", type_="foreignkey")
    op.drop_column("production_runs", "started_by")
    op.drop_constraint(IDEMPOTENCY_KEY, "production_runs", type_="unique")
    op.drop_column("production_runs", "idempotency_key")

    _to_old_states()
    op.drop_column("production_runs", "completed_at")
    op.drop_constraint(STEP_INDEX_CHECK, "production_runs", type_="check")
    op.drop_column("production_runs", "current_step_index")
    op.drop_constraint("fk_production_runs_flow_version", "production_runs", type_="foreignkey")
    op.drop_column("production_runs", "flow_version_id")


def _to_new_states() -> None:
    backfill("production_runs", "status = 'RUNNING'", where="status = 'ACTIVE'")
    backfill("production_runs", "status = 'ABORTED'", where="status = 'CANCELLED'")
    backfill(
        "production_runs",
        "completed_at = coalesce(ended_at, started_at)",
        where="status = 'COMPLETED' AND completed_at IS NULL",
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
