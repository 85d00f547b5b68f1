"""Write an audit event for every change, whoever makes it.

Triggers run once a statement, over all rows it changed. They run as the owner of the tables (SECURITY DEFINER), so that
nobody else needs, or has, the right to add events. An event is attributed to the command that the row names, through
the ledger row that its transaction wrote before; a DELETE names none, for the row names who changed it last. An UPDATE
that changes nothing leaves no event.

TRUNCATE would leave no event and is refused, by guard_<table>_truncate.

Revision ID: 20260125_audit_events
Revises: 20260125_guard_ledger
"""

from alembic import op

revision = "20260125_audit_events"
down_revision = "20260125_guard_ledger"
branch_labels = None
depends_on = None

DOCUMENT_COLUMNS = {
    "flow_definitions": "name",
    "flow_versions": "graph_schema",
    "production_runs": "summary",
    "lots": "metadata",
    "lot_genealogy": "",
    "qc_decisions": "",
    "users": "",
}
"""Audited tables, and the column of each that is a document: NULLs within it are part of it."""

NEWLY_KEPT_FROM_TRUNCATE = ("flow_definitions", "lots", "lot_genealogy", "qc_decisions", "users", "commands")

ROWS = {
    "INSERT": """
        SELECT id, NULL::jsonb AS before, to_jsonb(n) AS after, (to_jsonb(n) ->> 'command_key')::uuid AS command_key
        FROM new_rows AS n
    """,
    # A full join: a changed id shows as one row gone and another come.
    "UPDATE": """
        SELECT coalesce(n.id, o.id) AS id, to_jsonb(o) AS before, to_jsonb(n) AS after,
               (to_jsonb(n) ->> 'command_key')::uuid AS command_key
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    """,
    "DELETE": "SELECT id, to_jsonb(o) AS before, NULL::jsonb AS after, NULL::uuid AS command_key FROM old_rows AS o",
}

STEPS = {
    "INSERT": """
        SELECT run_id AS id, NULL::jsonb AS before,
               jsonb_object_agg(step_index, jsonb_strip_nulls(to_jsonb(n))) AS after, command_key
        FROM new_rows AS n
        GROUP BY run_id, command_key
    """,
    "UPDATE": """
        SELECT run_id AS id, jsonb_object_agg(step_index, before) AS before,
               jsonb_object_agg(step_index, after) AS after, command_key
        FROM (
            SELECT n.run_id, n.step_index, n.command_key,
                   jsonb_strip_nulls(to_jsonb(o)) AS before, jsonb_strip_nulls(to_jsonb(n)) AS after
            FROM old_rows AS o JOIN new_rows AS n ON n.id = o.id
            OFFSET 0  -- each image is made once
        ) AS step
        WHERE before - 'command_key' <> after - 'command_key'
        GROUP BY run_id, command_key
    """,
    "DELETE": """
        SELECT run_id AS id, jsonb_object_agg(step_index, jsonb_strip_nulls(to_jsonb(o))) AS before,
               NULL::jsonb AS after, NULL::uuid AS command_key
        FROM old_rows AS o
        GROUP BY run_id
    """,
}

TRANSITION_TABLES = {
    "INSERT": "NEW TABLE AS new_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
}


def upgrade() -> None:
    create_functions_and_triggers()
    for table in NEWLY_KEPT_FROM_TRUNCATE:
        op.execute(f"""
            CREATE TRIGGER guard_{table}_truncate
            BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """)


def create_functions_and_triggers() -> None:
    """What writes the events. A later revision replaces it, and calls this to go back."""
    op.execute("""
        CREATE FUNCTION audit_image(whole jsonb, document text) RETURNS jsonb
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN jsonb_strip_nulls(whole)
            || CASE WHEN jsonb_typeof(whole -> document) <> 'null' THEN jsonb_build_object(document, whole -> document)
                    ELSE '{}' END
    """)
    for operation in TRANSITION_TABLES:
        _create_function(f"audit_rows_{operation.lower()}", ROWS[operation], "public.audit_image({}, TG_ARGV[0])")
        _create_function(f"audit_steps_{operation.lower()}", STEPS[operation], "{}")
        for table, document in DOCUMENT_COLUMNS.items():
            _create_trigger(table, operation, f"audit_rows_{operation.lower()}('{document}')")
        _create_trigger("run_step_executions", operation, f"audit_steps_{operation.lower()}()")


def downgrade() -> None:
    for table in NEWLY_KEPT_FROM_TRUNCATE:
        op.execute(f"DROP TRIGGER guard_{table}_truncate ON {table}")
    for operation in TRANSITION_TABLES:
        for table in ("run_step_executions", *DOCUMENT_COLUMNS):
            op.execute(f"DROP TRIGGER audit_{table}_{operation.lower()} ON {table}")
        op.execute(f"DROP FUNCTION audit_steps_{operation.lower()}()")
        op.execute(f"DROP FUNCTION audit_rows_{operation.lower()}()")
    op.execute("DROP FUNCTION audit_image(jsonb, text)")


def _create_function(name: str, changes: str, image: str) -> None:
    # Plans are cached, and the first may be made while tables are empty. With these two settings the join of old and
    # new rows stays linear in the batch, and look-ups in the ledger stay look-ups however much it grows.
    op.execute(f"""
        CREATE FUNCTION {name}() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET enable_seqscan = off
        AS $$
        DECLARE
            not_compared CONSTANT text[] := ARRAY['command_key', 'last_login'];
        BEGIN
            WITH changed AS MATERIALIZED ({changes})
            INSERT INTO public.audit_events
                (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
            SELECT TG_TABLE_NAME, changed.id, TG_OP, {image.format("changed.before")}, {image.format("changed.after")},
                   changed.command_key,
                   (SELECT c.command FROM public.commands AS c WHERE c.idempotency_key = changed.command_key),
                   (SELECT c.issued_by FROM public.commands AS c WHERE c.idempotency_key = changed.command_key),
                   session_user, pg_current_xact_id()::text::bigint
            FROM changed
            WHERE changed.before - not_compared IS DISTINCT FROM changed.after - not_compared;
            RETURN NULL;
        END;
        $$
    """)  # noqa: S608 - every part of it stands in this file
    op.execute(f"REVOKE EXECUTE ON FUNCTION {name}() FROM PUBLIC")


def _create_trigger(table: str, operation: str, function: str) -> None:
    op.execute(f"""
        CREATE TRIGGER audit_{table}_{operation.lower()}
        AFTER {operation} ON {table}
        REFERENCING {TRANSITION_TABLES[operation]}
        FOR EACH STATEMENT EXECUTE FUNCTION {function}
    """)
