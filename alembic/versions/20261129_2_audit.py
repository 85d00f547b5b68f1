"""Add the audit trail and its seals, and write down every change of a user.

What is common to the audit of all tables is made here; each later revision has its own tables audited, once it has
moved their rows: what a migration does to an older system's rows leaves no event.

Revision ID: 20261129_2_audit
Revises: 20261129_1_ledger
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import lock_tables

revision = "20261129_2_audit"
down_revision = "20261129_1_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("users")
    # What the storage parameter is for is said in the revision on growth.
    op.execute("""
        CREATE TABLE audit_events (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_audit_events PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            entity varchar(30) NOT NULL,
            entity_id uuid NOT NULL,
            operation varchar(10) NOT NULL,
            before jsonb,
            after jsonb,
            command_key uuid,
            command varchar(50),
            actor uuid,
            db_user text NOT NULL,
            xact_id bigint NOT NULL
        ) WITH (autovacuum_vacuum_insert_scale_factor = 0.05)
    """)
    op.execute("CREATE INDEX idx_audit_events_entity ON audit_events (entity_id, id)")
    op.execute("""
        CREATE TABLE audit_seals (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_audit_seals PRIMARY KEY,
            first_event_id bigint NOT NULL,
            last_event_id bigint NOT NULL CONSTRAINT uq_audit_seals_last_event_id UNIQUE,
            events bigint NOT NULL,
            previous_sha256 bytea NOT NULL,
            sha256 bytea NOT NULL,
            sealed_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    create_objects("guard_audit_events@1")
    create_objects("guard_audit_seals@1")
    create_objects("forget_command_key@1")
    create_objects("guard_users@1")
    create_objects("audit_users@1")


def downgrade() -> None:
    drop_objects("audit_users@1")
    drop_objects("guard_users@1")
    drop_objects("forget_command_key@1")
    drop_objects("guard_audit_seals@1")
    drop_objects("guard_audit_events@1")
    op.execute("DROP TABLE audit_seals")
    op.execute("DROP TABLE audit_events")
