"""Keep and audit quality decisions.

Revision ID: 20261129_7_quality
Revises: 20261129_6_genealogy
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects

revision = "20261129_7_quality"
down_revision = "20261129_6_genealogy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE qc_decisions ADD COLUMN command_key uuid")
    op.execute("CREATE INDEX idx_qc_decisions_lot_id ON qc_decisions (lot_id)")
    create_objects("guard_qc_decisions@1")
    create_objects("audit_qc_decisions@1")


def downgrade() -> None:
    drop_objects("audit_qc_decisions@1")
    drop_objects("guard_qc_decisions@1")
    op.execute("DROP INDEX idx_qc_decisions_lot_id")
    op.execute("ALTER TABLE qc_decisions DROP COLUMN command_key")
