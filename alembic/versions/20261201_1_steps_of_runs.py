"""Tie a run to its steps whenever a transaction commits.

By hand, steps could be SKIPPED past a control point, a run be COMPLETED with steps open, and the current step's index
be at odds with the step that is IN_PROGRESS. Rows that are there are not looked at until they change.

Revision ID: 20261201_1_steps_of_runs
Revises: 20261130_4_enqueue_names
"""

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import lock_tables

revision = "20261201_1_steps_of_runs"
down_revision = "20261130_4_enqueue_names"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("production_runs", "run_step_executions")
    create_objects("require_read_committed@1")
    create_objects("guard_steps_of_run@1")


def downgrade() -> None:
    drop_objects("guard_steps_of_run@1")
    drop_objects("require_read_committed@1")
