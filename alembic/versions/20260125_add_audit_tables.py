"""Add the audit trail and its seals, which can be added to and never changed.

    guard_audit_events_append_only  no UPDATE, DELETE or TRUNCATE of audit_events
    guard_audit_seals_append_only   the same for audit_seals

Revision ID: 20260125_audit_tables
Revises: 20260125_ledger
"""

from alembic import op

revision = "20260125_audit_tables"
down_revision = "20260125_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
        )
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
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RAISE EXCEPTION '% of % is refused: what it holds is kept as it was written.', TG_OP, TG_TABLE_NAME
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
        END;
        $$
    """)
    for table in ("audit_events", "audit_seals"):
        op.execute(f"""
            CREATE TRIGGER guard_{table}_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """)


def downgrade() -> None:
    op.execute("DROP TABLE audit_seals")
    op.execute("DROP TABLE audit_events")
    op.execute("DROP FUNCTION refuse_change()")
