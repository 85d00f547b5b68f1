"""Keep and audit quality decisions.

Revision ID: 20261129_7_quality
Revises: 20261129_6_genealogy
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import create_index, lock_tables

revision = "20261129_7_quality"
down_revision = "20261129_6_genealogy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index("idx_qc_decisions_lot_id", "qc_decisions (lot_id)")

    lock_tables("qc_decisions")
    op.execute("ALTER TABLE qc_decisions ADD COLUMN command_key uuid")
    create_objects("guard_qc_decisions@1")
    create_objects("audit_qc_decisions@1")


def downgrade() -> None:
    drop_objects("audit_qc_decisions@1")
    drop_objects("guard_qc_decisions@1")
    op.execute("DROP INDEX idx_qc_decisions_lot_id")
    op.execute("ALTER TABLE qc_decisions DROP COLUMN command_key")
