"""Allow one PUBLISHED version for each flow.

Where an older system left several, the one with the highest number stays in force and the others become DEPRECATED,
as they would have when it was published. A downgrade leaves them so (ARCHIVED, further down): no row remembers that
it was in force beside a newer one.

Revision ID: 20260125_one_published_version
Revises: 20260125_run_and_step_rules
"""

from alembic import op

revision = "20260125_one_published_version"
down_revision = "20260125_run_and_step_rules"
branch_labels = None
depends_on = None


def upgrade() -> None:
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


def downgrade() -> None:
    op.execute("DROP INDEX uq_flow_versions_one_published")
