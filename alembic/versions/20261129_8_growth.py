"""Keep the hot path as fast beside millions of rows as beside none, and let the ledger forget.

    idx_production_runs_ended_at    finds what is to be archived, without a look at all that is
    idx_commands_decided_at         finds what the ledger may forget; new rows go to its end
    idx_commands_lot_id             finds refused commands about a lot, which name no run; the others have one and are
                                    found by it, so that hardly any command is in this index

Tables that change with every command are vacuumed and analyzed after 2 % of changes in place of 20 %, so that there is
room for HOT updates near each row and plans keep up; tables that only grow, after 5 % of new rows, so that no vacuum
has millions of rows to freeze at once. The tables of ledger and audit were created so.

Revision ID: 20261129_8_growth
Revises: 20261129_7_quality
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import create_index

revision = "20261129_8_growth"
down_revision = "20261129_7_quality"
branch_labels = None
depends_on = None

CHANGED_OFTEN = ("production_runs", "run_step_executions", "lots")


def upgrade() -> None:
    create_index("idx_production_runs_ended_at", "production_runs (ended_at) WHERE status IN ('COMPLETED', 'ABORTED')")
    op.execute("CREATE INDEX idx_commands_decided_at ON commands (decided_at) WHERE decided_at IS NOT NULL")
    op.execute("CREATE INDEX idx_commands_lot_id ON commands (lot_id) WHERE run_id IS NULL AND lot_id IS NOT NULL")
    for table in CHANGED_OFTEN:
        op.execute(f"""
            ALTER TABLE {table}
            SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)
        """)
    create_objects("prune_commands@1")


def downgrade() -> None:
    drop_objects("prune_commands@1")
    for table in CHANGED_OFTEN:
        op.execute(f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor)")
    op.execute("DROP INDEX idx_commands_lot_id")
    op.execute("DROP INDEX idx_commands_decided_at")
    op.execute("DROP INDEX idx_production_runs_ended_at")
