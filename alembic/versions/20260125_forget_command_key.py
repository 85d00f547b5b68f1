"""Never let a change made by hand pass for the work of the last command.

An UPDATE that leaves command_key as it was did not come from a command: the key becomes NULL, and the audit event has
no actor but the database user.

Revision ID: 20260125_forget_command_key
Revises: 20260125_audit_tables
"""

from alembic import op

revision = "20260125_forget_command_key"
down_revision = "20260125_audit_tables"
branch_labels = None
depends_on = None

TABLES = ("flow_versions", "production_runs", "run_step_executions", "lots")


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION forget_command_key() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            NEW.command_key := NULL;
            RETURN NEW;
        END;
        $$
    """)
    for table in TABLES:
        # The condition keeps the function out of the way of commands, which always bring another key.
        op.execute(f"""
            CREATE TRIGGER trg_{table}_command_key
            BEFORE UPDATE ON {table}
            FOR EACH ROW WHEN (NEW.command_key = OLD.command_key) EXECUTE FUNCTION forget_command_key()
        """)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TRIGGER trg_{table}_command_key ON {table}")
    op.execute("DROP FUNCTION forget_command_key()")
