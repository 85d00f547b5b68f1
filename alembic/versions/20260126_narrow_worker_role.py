"""Leave the worker what it writes, and no more.

It adds genealogy and quality decisions and changes neither; of a flow version it changes the state and who reviewed
and published it. Where the role does not exist there is nothing to take away.

Revision ID: 20260126_narrow_worker_role
Revises: 20260126_guard_lots_of_runs
"""

import sqlalchemy as sa
from alembic import op

revision = "20260126_narrow_worker_role"
down_revision = "20260126_guard_lots_of_runs"
branch_labels = None
depends_on = None

ROLE = "runworker_worker"
ONCE_WRITTEN = "flow_versions, lot_genealogy, qc_decisions"
OF_A_VERSION = "status, reviewed_by, published_by, published_at, command_key"


def upgrade() -> None:
    if _role_exists():
        op.execute(f"REVOKE UPDATE ON {ONCE_WRITTEN} FROM {ROLE}")
        op.execute(f"GRANT UPDATE ({OF_A_VERSION}) ON flow_versions TO {ROLE}")


def downgrade() -> None:
    if _role_exists():
        op.execute(f"REVOKE UPDATE ({OF_A_VERSION}) ON flow_versions FROM {ROLE}")
        op.execute(f"GRANT UPDATE ON {ONCE_WRITTEN} TO {ROLE}")


def _role_exists() -> bool:
    return bool(op.get_bind().scalar(sa.text(f"SELECT to_regrole('{ROLE}') IS NOT NULL")))
