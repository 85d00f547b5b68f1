"""Ask for a reason by hand too, publish what was reviewed, and guard runs and steps with their owner's rights.

A run was held or aborted without a word or for ten blanks, a decision FAIL said nothing, and the UPDATE that published
a version could change its graph. Upserts of runs and steps that exist were refused, and logins that may write them
alone. What older rows leave out stays so.

Revision ID: 20261201_3_reasons
Revises: 20261201_2_lots
"""

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import lock_tables

revision = "20261201_3_reasons"
down_revision = "20261201_2_lots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("production_runs", "run_step_executions", "qc_decisions", "flow_versions")
    drop_objects("guard_qc_decisions@1")
    drop_objects("guard_run_step_executions@1")
    drop_objects("guard_production_runs@1")
    create_objects("guard_production_runs@2")
    create_objects("guard_run_step_executions@2")
    create_objects("guard_qc_decisions@2")
    create_objects("guard_flow_versions@1")


def downgrade() -> None:
    drop_objects("guard_flow_versions@1")
    drop_objects("guard_qc_decisions@2")
    drop_objects("guard_run_step_executions@2")
    drop_objects("guard_production_runs@2")
    create_objects("guard_production_runs@1")
    create_objects("guard_run_step_executions@1")
    create_objects("guard_qc_decisions@1")
