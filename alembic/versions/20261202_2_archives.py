"""Let months of the audit trail be archived, and what is archived leave the table.

`audit_archives` lists the files. An event leaves the table only under a row of it, and only where later events tell
the rest; which file has it, and with which hash, stays.

Going down is refused once there is an archive: the older schema has no word for events that are elsewhere.

Revision ID: 20261202_2_archives
Revises: 20261202_1_constraint_names
"""

import sqlalchemy as sa
from alembic import op

from runworker.errors import ConfigurationError
from runworker.migrations import create_objects, drop_objects, grant
from runworker.online_changes import lock_tables

revision = "20261202_2_archives"
down_revision = "20261202_1_constraint_names"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("audit_events")
    op.execute("""
        CREATE TABLE audit_archives (
            month date CONSTRAINT pk_audit_archives PRIMARY KEY,
            first_seal_id bigint NOT NULL CONSTRAINT uq_audit_archives_first_seal_id UNIQUE,
            last_seal_id bigint NOT NULL,
            first_event_id bigint NOT NULL,
            last_event_id bigint NOT NULL,
            events bigint NOT NULL,
            file_name text NOT NULL,
            sha256 bytea NOT NULL,
            archived_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    drop_objects("guard_audit_events@1")
    create_objects("guard_audit_events@2")
    create_objects("guard_audit_archives@1")
    grant("runworker_worker", "SELECT ON audit_archives")


def downgrade() -> None:
    if archives := op.get_bind().scalar(sa.text("SELECT count(*) FROM audit_archives")):
        raise ConfigurationError(
            f"{archives} months of the audit trail are archived, and their events are in files alone: a schema without"
            " audit_archives cannot tell. Restore a backup of before the first archive, or stay at this revision."
        )
    drop_objects("guard_audit_archives@1")
    drop_objects("guard_audit_events@2")
    create_objects("guard_audit_events@1")
    op.execute("DROP TABLE audit_archives")
