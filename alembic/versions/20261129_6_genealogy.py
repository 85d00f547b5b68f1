"""Guard and audit what is made of what.

Revision ID: 20261129_6_genealogy
Revises: 20261129_5_lots
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import create_index, lock_tables

revision = "20261129_6_genealogy"
down_revision = "20261129_5_lots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index("idx_lot_genealogy_parent", "lot_genealogy (parent_lot_id)")
    create_index("idx_lot_genealogy_child", "lot_genealogy (child_lot_id)")

    lock_tables("lot_genealogy")
    op.execute("ALTER TABLE lot_genealogy ADD COLUMN command_key uuid")
    create_objects("guard_lot_genealogy@1")
    create_objects("audit_lot_genealogy@1")


def downgrade() -> None:
    drop_objects("audit_lot_genealogy@1")
    drop_objects("guard_lot_genealogy@1")
    op.execute("DROP INDEX idx_lot_genealogy_child")
    op.execute("DROP INDEX idx_lot_genealogy_parent")
    op.execute("ALTER TABLE lot_genealogy DROP COLUMN command_key")
