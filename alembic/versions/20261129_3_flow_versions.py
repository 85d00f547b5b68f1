"""Allow one PUBLISHED version for each flow, and audit flows and their versions.

Where an older system left several, the one with the highest number stays in force and the others become DEPRECATED,
as they would have when it was published. A downgrade leaves them so (ARCHIVED, further down): no row remembers that
it was in force beside a newer one. What guards a version is the revision 20260124_flow_version_immutable.

Revision ID: 20261129_3_flow_versions
Revises: 20261129_2_audit
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import lock_tables

revision = "20261129_3_flow_versions"
down_revision = "20261129_2_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("flow_definitions", "flow_versions")
    op.execute("ALTER TABLE flow_versions ADD COLUMN command_key uuid")
    op.execute("""
        UPDATE flow_versions AS old
        SET status = 'DEPRECATED'
        WHERE old.status = 'PUBLISHED'
          AND EXISTS (
              SELECT FROM flow_versions AS newer
              WHERE newer.flow_definition_id = old.flow_definition_id
                AND newer.status = 'PUBLISHED'
                AND newer.version_num > old.version_num
          )
    """)
    op.execute("""
        CREATE UNIQUE INDEX uq_flow_versions_one_published ON flow_versions (flow_definition_id)
        WHERE status = 'PUBLISHED'
    """)
    create_objects("guard_flow_definitions@1")
    create_objects("audit_flow_definitions@1")
    create_objects("audit_flow_versions@1")


def downgrade() -> None:
    drop_objects("audit_flow_versions@1")
    drop_objects("audit_flow_definitions@1")
    drop_objects("guard_flow_definitions@1")
    op.execute("DROP INDEX uq_flow_versions_one_published")
    op.execute("ALTER TABLE flow_versions DROP COLUMN command_key")
