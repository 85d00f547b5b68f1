"""Give flow versions the states REVIEW and DEPRECATED, and a reviewer.

ARCHIVED, the old word for a version no longer in force, becomes DEPRECATED, and goes back on downgrade, where REVIEW
becomes DRAFT. Whoever reviewed is not kept on downgrade. The CHECK is dropped before rows move and set after; it keeps
its new name on downgrade, as the plan has it.

Revision ID: 20260124_flow_version_status
Revises: 20260124_lot_step_index_status
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import conv

from runworker.online_changes import lock_tables

revision = "20260124_flow_version_status"
down_revision = "20260124_lot_step_index_status"
branch_labels = None
depends_on = None

STATUS_CHECK = conv("ck_flow_versions_status")


def upgrade() -> None:
    # Versions are few, and a moment is enough for all of them.
    lock_tables("flow_versions", "users")
    # Older systems have the CHECK under either name.
    op.execute("ALTER TABLE flow_versions DROP CONSTRAINT IF EXISTS flow_versions_status_check")
    op.execute("ALTER TABLE flow_versions DROP CONSTRAINT IF EXISTS ck_flow_versions_status")
    op.execute("UPDATE flow_versions SET status = 'DEPRECATED' WHERE status = 'ARCHIVED'")
    op.create_check_constraint(STATUS_CHECK, "flow_versions", "status IN ('DRAFT','REVIEW','PUBLISHED','DEPRECATED')")
    op.add_column("flow_versions", sa.Column("reviewed_by", sa.Uuid(), nullable=True))
    op.create_foreign_key("fk_flow_versions_reviewed_by", "flow_versions", "users", ["reviewed_by"], ["id"])
    op.create_index("idx_flow_versions_status", "flow_versions", ["status"])


def downgrade() -> None:
    op.drop_index("idx_flow_versions_status", "flow_versions")
    op.drop_constraint("fk_flow_versions_reviewed_by", "flow_versions", type_="foreignkey")
    op.drop_column("flow_versions", "reviewed_by")
    op.drop_constraint(STATUS_CHECK, "flow_versions", type_="check")
    op.execute("UPDATE flow_versions SET status = 'DRAFT' WHERE status = 'REVIEW'")
    op.execute("UPDATE flow_versions SET status = 'ARCHIVED' WHERE status = 'DEPRECATED'")
    op.create_check_constraint(STATUS_CHECK, "flow_versions", "status IN ('DRAFT','PUBLISHED','ARCHIVED')")
