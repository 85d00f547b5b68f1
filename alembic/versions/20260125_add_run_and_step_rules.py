"""Tie state and time together, allow one step in progress, and name the command that changed a row.

Times that contradict a run's state are put right before the CHECK comes: a finished run without an end ended when it
was completed or, if nobody noted that, when it started; an unfinished run's end moves into its summary
(`legacy_ended_at`, `legacy_completed_at`).

Revision ID: 20260125_run_and_step_rules
Revises: 20260125_suppliers_lot_types
"""

from alembic import op

revision = "20260125_run_and_step_rules"
down_revision = "20260125_suppliers_lot_types"
branch_labels = None
depends_on = None

TABLES_CHANGED_BY_COMMANDS = ("flow_versions", "production_runs", "run_step_executions", "lots")


def upgrade() -> None:
    for table in TABLES_CHANGED_BY_COMMANDS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN command_key uuid")
    _put_run_times_right()
    op.execute("""
        ALTER TABLE production_runs
            ADD COLUMN status_reason text
                CONSTRAINT ck_production_runs_status_reason CHECK (char_length(status_reason) BETWEEN 10 AND 500),
            ADD CONSTRAINT ck_production_runs_times CHECK (
                CASE WHEN status = 'COMPLETED' THEN completed_at IS NOT NULL AND ended_at IS NOT NULL
                     WHEN status = 'ABORTED' THEN completed_at IS NULL AND ended_at IS NOT NULL
                     WHEN status = 'ARCHIVED' THEN ended_at IS NOT NULL
                     ELSE completed_at IS NULL AND ended_at IS NULL END),
            -- The row is updated at every step; room on the page keeps those updates near.
            SET (fillfactor = 70)
    """)
    op.execute("""
        ALTER TABLE run_step_executions
            ADD CONSTRAINT ck_run_step_executions_times CHECK (
                CASE status WHEN 'PENDING' THEN started_at IS NULL AND completed_at IS NULL
                            WHEN 'IN_PROGRESS' THEN started_at IS NOT NULL AND completed_at IS NULL
                            WHEN 'COMPLETED' THEN started_at IS NOT NULL AND completed_at IS NOT NULL
                            ELSE completed_at IS NULL END),
            ADD CONSTRAINT ex_run_step_executions_one_in_progress
                EXCLUDE USING btree (run_id WITH =) WHERE (status = 'IN_PROGRESS') DEFERRABLE INITIALLY IMMEDIATE
    """)


def downgrade() -> None:
    op.execute("""
        ALTER TABLE run_step_executions
            DROP CONSTRAINT ex_run_step_executions_one_in_progress,
            DROP CONSTRAINT ck_run_step_executions_times
    """)
    op.execute("""
        ALTER TABLE production_runs
            RESET (fillfactor),
            DROP CONSTRAINT ck_production_runs_times,
            DROP COLUMN status_reason
    """)
    for table in TABLES_CHANGED_BY_COMMANDS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN command_key")


def _put_run_times_right() -> None:
    op.execute("""
        UPDATE production_runs
        SET ended_at = coalesce(ended_at, completed_at, started_at),
            completed_at = CASE status
                WHEN 'COMPLETED' THEN coalesce(completed_at, ended_at, started_at)
                WHEN 'ARCHIVED' THEN completed_at
            END
        WHERE status IN ('COMPLETED', 'ABORTED', 'ARCHIVED')
          AND (ended_at IS NULL OR (completed_at IS NULL) = (status = 'COMPLETED'))
    """)
    op.execute("""
        UPDATE production_runs
        SET summary = coalesce(summary, '{}') || jsonb_strip_nulls(
                jsonb_build_object('legacy_ended_at', ended_at, 'legacy_completed_at', completed_at)),
            ended_at = NULL,
            completed_at = NULL
        WHERE status IN ('IDLE', 'RUNNING', 'HOLD') AND (ended_at IS NOT NULL OR completed_at IS NOT NULL)
    """)
