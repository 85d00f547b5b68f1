"""Tie state and time of runs and steps together, allow one step in progress, guard and audit both.

Times that contradict a run's state are put right before the CHECK comes: a finished run without an end ended when it
was completed or, if nobody noted that, when it started; an unfinished run's end moves into its summary
(`legacy_ended_at`, `legacy_completed_at`).

Revision ID: 20261129_4_runs_and_steps
Revises: 20261129_3_flow_versions
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import backfill, change_table, lock_tables, validate

revision = "20261129_4_runs_and_steps"
down_revision = "20261129_3_flow_versions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change_table(
        "production_runs",
        """
        ALTER TABLE production_runs
            ADD COLUMN command_key uuid,
            ADD COLUMN status_reason text,
            ADD CONSTRAINT ck_production_runs_status_reason
                CHECK (char_length(status_reason) BETWEEN 10 AND 500) NOT VALID,
            -- The row is updated at every step; room on the page keeps those updates near.
            SET (fillfactor = 70)
        """,
        unless="ck_production_runs_status_reason",
    )
    _put_run_times_right()
    change_table(
        "production_runs",
        """
        ALTER TABLE production_runs ADD CONSTRAINT ck_production_runs_times CHECK (
            CASE WHEN status = 'COMPLETED' THEN completed_at IS NOT NULL AND ended_at IS NOT NULL
                 WHEN status = 'ABORTED' THEN completed_at IS NULL AND ended_at IS NOT NULL
                 WHEN status = 'ARCHIVED' THEN ended_at IS NOT NULL
                 ELSE completed_at IS NULL AND ended_at IS NULL END) NOT VALID
        """,
        unless="ck_production_runs_times",
    )
    _put_run_times_right()  # of runs that came before the CHECK
    validate("production_runs", "ck_production_runs_status_reason", "ck_production_runs_times")
    change_table(
        "run_step_executions",
        """
        ALTER TABLE run_step_executions
            ADD COLUMN command_key uuid,
            ADD CONSTRAINT ck_run_step_executions_times CHECK (
                CASE status WHEN 'PENDING' THEN started_at IS NULL AND completed_at IS NULL
                            WHEN 'IN_PROGRESS' THEN started_at IS NOT NULL AND completed_at IS NULL
                            WHEN 'COMPLETED' THEN started_at IS NOT NULL AND completed_at IS NOT NULL
                            ELSE completed_at IS NULL END) NOT VALID
        """,
        unless="ck_run_step_executions_times",
    )
    validate("run_step_executions", "ck_run_step_executions_times")

    lock_tables("production_runs", "run_step_executions")
    # No exclusion constraint is made concurrently. A plant that is taken over has no steps yet.
    op.execute("""
        ALTER TABLE run_step_executions ADD CONSTRAINT ex_run_step_executions_one_in_progress
            EXCLUDE USING btree (run_id WITH =) WHERE (status = 'IN_PROGRESS') DEFERRABLE INITIALLY IMMEDIATE
    """)
    create_objects("guard_production_runs@1")
    create_objects("guard_run_step_executions@1")
    create_objects("audit_production_runs@1")
    create_objects("audit_run_step_executions@1")


def downgrade() -> None:
    drop_objects("audit_run_step_executions@1")
    drop_objects("audit_production_runs@1")
    drop_objects("guard_run_step_executions@1")
    drop_objects("guard_production_runs@1")
    op.execute("""
        ALTER TABLE run_step_executions
            DROP CONSTRAINT ex_run_step_executions_one_in_progress,
            DROP CONSTRAINT ck_run_step_executions_times,
            DROP COLUMN command_key
    """)
    op.execute("""
        ALTER TABLE production_runs
            RESET (fillfactor),
            DROP CONSTRAINT ck_production_runs_times,
            DROP COLUMN status_reason,
            DROP COLUMN command_key
    """)


def _put_run_times_right() -> None:
    backfill(
        "production_runs",
        """
        ended_at = coalesce(ended_at, completed_at, started_at),
        completed_at = CASE status
            WHEN 'COMPLETED' THEN coalesce(completed_at, ended_at, started_at)
            WHEN 'ARCHIVED' THEN completed_at
        END
        """,
        where="""
        status IN ('COMPLETED', 'ABORTED', 'ARCHIVED')
        AND (ended_at IS NULL OR status <> 'ARCHIVED' AND (completed_at IS NULL) = (status = 'COMPLETED'))
        """,
    )
    backfill(
        "production_runs",
        """
        summary = coalesce(summary, '{}') || jsonb_strip_nulls(
            jsonb_build_object('legacy_ended_at', ended_at, 'legacy_completed_at', completed_at)),
        ended_at = NULL,
        completed_at = NULL
        """,
        where="status IN ('IDLE', 'RUNNING', 'HOLD') AND (ended_at IS NOT NULL OR completed_at IS NOT NULL)",
    )
