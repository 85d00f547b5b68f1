"""Let a worker neither end sealing nor add flow versions, and write down what is deleted from the ledger.

One seal that named an event far ahead ended sealing for ever; a seal now follows the chain and covers what is there.
The worker adds no flow versions: no command does, and one that was PUBLISHED from its first moment was reviewed by
nobody.

Revision ID: 20261201_4_rights
Revises: 20261201_3_reasons
"""

import sys

import sqlalchemy as sa
from alembic import op

from runworker.migrations import create_objects, drop_objects, grant
from runworker.online_changes import lock_tables

revision = "20261201_4_rights"
down_revision = "20261201_3_reasons"
branch_labels = None
depends_on = None

ROLE = "runworker_worker"
NARROWED = f"REVOKE INSERT ON flow_versions FROM {ROLE}"


def upgrade() -> None:
    lock_tables("commands", "audit_seals")
    drop_objects("guard_audit_seals@1")
    create_objects("guard_audit_seals@2")
    create_objects("audit_commands@1")
    if op.get_bind().scalar(sa.text(f"SELECT to_regrole('{ROLE}') IS NOT NULL")):
        op.execute(NARROWED)
    else:
        sys.stderr.write(f"runworker: once {ROLE} is there, take away what it needs no more:\n    {NARROWED};\n")


def downgrade() -> None:
    grant(ROLE, "INSERT ON flow_versions")
    drop_objects("audit_commands@1")
    drop_objects("guard_audit_seals@2")
    create_objects("guard_audit_seals@1")
