"""Say why a lot is as it is.

`lots.status_reason` holds the notes of the last quality decision, the resolution of a hold or the reason of a
rejection: up to 500 characters, and before them the sentence that a critical control point adds. A downgrade drops the
column; the same words stay in `qc_decisions` and in the audit events.

Revision ID: 20260126_lot_status_reason
Revises: 20260125_worker_role
"""

from alembic import op

revision = "20260126_lot_status_reason"
down_revision = "20260125_worker_role"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE lots
            ADD COLUMN status_reason text
                CONSTRAINT ck_lots_status_reason CHECK (char_length(status_reason) <= 700)
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE lots DROP COLUMN status_reason")
