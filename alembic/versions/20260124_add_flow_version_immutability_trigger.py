"""Keep published flow versions as they are.

    guard_flow_versions_immutable   a PUBLISHED version's status, alone, may become DEPRECATED; nothing else changes
    guard_flow_versions_move        DRAFT to REVIEW, REVIEW to PUBLISHED or back to DRAFT; no other move
    guard_flow_versions_kept        neither PUBLISHED nor DEPRECATED is deleted
    guard_flow_versions_truncate    the table is never truncated

These names come with the error, as its constraint. A version may be inserted in any state: other systems publish by
INSERT. What a version's owner and number are is part of what stays once it is PUBLISHED.

Revision ID: 20260124_flow_version_immutable
Revises: 20260124_run_step_executions
"""

from alembic import op

from runworker.online_changes import lock_tables

revision = "20260124_flow_version_immutable"
down_revision = "20260124_run_step_executions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("flow_versions")
    # command_key names the command that changed the row; it is no part of the version (a later revision adds it).
    op.execute("""
        CREATE OR REPLACE FUNCTION prevent_published_flow_version_modification() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            not_compared CONSTANT text[] := ARRAY['status', 'command_key'];
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN
                RAISE EXCEPTION 'Cannot truncate flow versions: runs are pinned to them. Delete drafts one by one.'
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_flow_versions_truncate';
            END IF;

            IF TG_OP = 'DELETE' THEN
                IF OLD.status IN ('PUBLISHED', 'DEPRECATED') THEN
                    RAISE EXCEPTION 'Cannot delete % flow version. ID: %. Only a DRAFT or REVIEW can be discarded.',
                        OLD.status, OLD.id
                        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_flow_versions_kept';
                END IF;
                RETURN OLD;
            END IF;

            IF OLD.status = 'PUBLISHED' AND NEW.status = 'DEPRECATED'
               AND to_jsonb(NEW) - not_compared = to_jsonb(OLD) - not_compared THEN
                RETURN NEW;
            END IF;

            IF OLD.status IN ('PUBLISHED', 'DEPRECATED') THEN
                RAISE EXCEPTION 'Cannot modify % flow version. Status: %, ID: %', OLD.status, OLD.status, OLD.id
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_flow_versions_immutable',
                    HINT = 'PUBLISHED may become DEPRECATED, nothing else changed; to change a flow, add a version.';
            END IF;

            IF NEW.status <> OLD.status
               AND (OLD.status, NEW.status) NOT IN (('DRAFT', 'REVIEW'), ('REVIEW', 'PUBLISHED'), ('REVIEW', 'DRAFT'))
            THEN
                RAISE EXCEPTION 'Flow version % cannot go from % to %: a DRAFT goes to REVIEW, a REVIEW to PUBLISHED'
                    ' or back to DRAFT.', OLD.id, OLD.status, NEW.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_flow_versions_move';
            END IF;

            RETURN NEW;
        END;
        $$
    """)
    op.execute("DROP TRIGGER IF EXISTS trg_flow_version_immutable ON flow_versions")
    op.execute("""
        CREATE TRIGGER trg_flow_version_immutable
        BEFORE UPDATE ON flow_versions
        FOR EACH ROW EXECUTE FUNCTION prevent_published_flow_version_modification()
    """)
    op.execute("""
        CREATE TRIGGER trg_flow_version_kept
        BEFORE DELETE ON flow_versions
        FOR EACH ROW EXECUTE FUNCTION prevent_published_flow_version_modification()
    """)
    op.execute("""
        CREATE TRIGGER trg_flow_version_truncate
        BEFORE TRUNCATE ON flow_versions
        FOR EACH STATEMENT EXECUTE FUNCTION prevent_published_flow_version_modification()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER IF EXISTS trg_flow_version_truncate ON flow_versions")
    op.execute("DROP TRIGGER IF EXISTS trg_flow_version_kept ON flow_versions")
    op.execute("DROP TRIGGER IF EXISTS trg_flow_version_immutable ON flow_versions")
    op.execute("DROP FUNCTION IF EXISTS prevent_published_flow_version_modification()")
