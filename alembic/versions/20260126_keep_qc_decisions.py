"""Keep quality decisions: one that was wrong is followed by another.

    guard_qc_decisions_kept     a decision neither changes nor goes

Revision ID: 20260126_keep_qc_decisions
Revises: 20260126_guard_lot_ends
"""

from alembic import op

revision = "20260126_keep_qc_decisions"
down_revision = "20260126_guard_lot_ends"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TRIGGER guard_qc_decisions_kept
        BEFORE UPDATE OR DELETE ON qc_decisions
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_qc_decisions_kept ON qc_decisions")
