"""Write audit events with less work, and name the command of genealogy and quality decisions too.

What an event says stays as it was. What changed is how much PostgreSQL does for it:

    - Each table has functions of its own, with literals in place of parameters: planned once, and no document or key
      is looked for in tables that have none.
    - A changed row is told by the columns that commands change. Only where these are alike are whole rows compared as
      jsonb, which costs more than making the images does; and the images are made of changed rows only.
    - The steps of a run are turned into one document at once, and not each by itself.
    - The ledger is asked once an event.
    - Old and new rows are matched by a full join, which PostgreSQL never does by nested loops, however few rows it
      expected when it made the plan.

`lot_genealogy` and `qc_decisions` get a `command_key`, as the other tables that commands write have one, so that their
events have an actor. Rows of before have none.

Revision ID: 20260127_cheaper_audit
Revises: 20260126_narrow_worker_role
"""

# ruff: noqa: S608 - every part of these queries stands in this file

from typing import Any

from alembic import context, op

revision = "20260127_cheaper_audit"
down_revision = "20260126_narrow_worker_role"
branch_labels = None
depends_on = None

BEFORE = "20260125_audit_events"

NEWLY_NAMING_THEIR_COMMAND = ("lot_genealogy", "qc_decisions")

DOCUMENTS = {
    "flow_definitions": "name",
    "flow_versions": "graph_schema",
    "production_runs": "summary",
    "lots": "metadata",
}
"""The column of a table that is a document: NULLs within it are part of it."""

NO_COMMAND = ("flow_definitions", "users")
"""Audited tables that no command writes, and that have no command_key."""

TOLD_BY = {
    "flow_versions": ("status",),
    "production_runs": ("current_step_index", "status"),
    "lots": ("status",),
    "run_step_executions": ("status",),
}
"""Columns, never NULL, that nearly every command changes: where one differs, nothing else has to be compared."""

TABLES = ("flow_definitions", "flow_versions", "production_runs", "lots", "lot_genealogy", "qc_decisions", "users")

TRANSITION_TABLES = {
    "INSERT": "NEW TABLE AS new_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
}
FROM = {
    "INSERT": "new_rows AS n",
    # A full join: a changed id shows as one row gone and another come.
    "UPDATE": "old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id",
    "DELETE": "old_rows AS o",
}


def upgrade() -> None:
    for table in NEWLY_NAMING_THEIR_COMMAND:
        op.execute(f"ALTER TABLE {table} ADD COLUMN command_key uuid")
    _drop_functions_of_before()
    for operation in TRANSITION_TABLES:
        for table in TABLES:
            _create(table, operation, _row_events(table, operation))
        _create("run_step_executions", operation, _step_events(operation))


def downgrade() -> None:
    for operation in TRANSITION_TABLES:
        for table in (*TABLES, "run_step_executions"):
            op.execute(f"DROP TRIGGER audit_{table}_{operation.lower()} ON {table}")
            op.execute(f"DROP FUNCTION audit_{table}_{operation.lower()}()")
    _revision_before().create_functions_and_triggers()
    for table in NEWLY_NAMING_THEIR_COMMAND:
        op.execute(f"ALTER TABLE {table} DROP COLUMN command_key")


def _drop_functions_of_before() -> None:
    before = _revision_before()
    for operation in TRANSITION_TABLES:
        for table in ("run_step_executions", *before.DOCUMENT_COLUMNS):
            op.execute(f"DROP TRIGGER audit_{table}_{operation.lower()} ON {table}")
        op.execute(f"DROP FUNCTION audit_steps_{operation.lower()}()")
        op.execute(f"DROP FUNCTION audit_rows_{operation.lower()}()")
    op.execute("DROP FUNCTION audit_image(jsonb, text)")


def _revision_before() -> Any:
    return context.script.get_revision(BEFORE).module


def _row_events(table: str, operation: str) -> str:
    """A SELECT of the events of a table with one event a row: id, before, after, command_key."""
    before, after = (_image(table, row) for row in "on")
    match operation:
        case "INSERT":
            return f"SELECT n.id, NULL::jsonb, {after}, {_command_key(table)} FROM {FROM['INSERT']}"
        case "DELETE":
            return f"SELECT o.id, {before}, NULL::jsonb, NULL::uuid FROM {FROM['DELETE']}"
    return f"""
        SELECT coalesce(n.id, o.id), {before}, {after}, {_command_key(table)}
        FROM {FROM["UPDATE"]}
        WHERE {_changed(table)}
    """


def _step_events(operation: str) -> str:
    """A SELECT of events with the steps that changed, one for each run and command."""
    match operation:
        case "INSERT":
            return f"""
                SELECT n.run_id, NULL::jsonb, jsonb_strip_nulls(jsonb_object_agg(n.step_index, n)), n.command_key
                FROM {FROM["INSERT"]}
                GROUP BY n.run_id, n.command_key
            """
        case "DELETE":
            return f"""
                SELECT o.run_id, jsonb_strip_nulls(jsonb_object_agg(o.step_index, o)), NULL::jsonb, NULL::uuid
                FROM {FROM["DELETE"]}
                GROUP BY o.run_id
            """
    return f"""
        SELECT coalesce(n.run_id, o.run_id),
               jsonb_strip_nulls(jsonb_object_agg(coalesce(n.step_index, o.step_index), o)),
               jsonb_strip_nulls(jsonb_object_agg(coalesce(n.step_index, o.step_index), n)),
               n.command_key
        FROM {FROM["UPDATE"]}
        WHERE {_changed("run_step_executions")}
        GROUP BY 1, 4
    """


def _changed(table: str) -> str:
    told = [f"n.{column} <> o.{column}" for column in TOLD_BY.get(table, ())]
    not_compared = "ARRAY['command_key', 'last_login']"
    return " OR ".join([*told, f"to_jsonb(o) - {not_compared} IS DISTINCT FROM to_jsonb(n) - {not_compared}"])


def _image(table: str, row: str) -> str:
    image = f"jsonb_strip_nulls(to_jsonb({row}))"
    if table not in DOCUMENTS:
        return image
    document = f"{row}.{DOCUMENTS[table]}"
    whole = f"{image} || jsonb_build_object('{DOCUMENTS[table]}', {document})"
    return f"CASE WHEN coalesce({document}, '{{}}') = '{{}}' THEN {image} ELSE {whole} END"


def _command_key(table: str) -> str:
    return "NULL::uuid" if table in NO_COMMAND else "n.command_key"


def _create(table: str, operation: str, events: str) -> None:
    name = f"audit_{table}_{operation.lower()}"
    # Plans are cached, and the first may be made while tables are empty: look-ups in the ledger shall stay look-ups.
    # OFFSET 0 keeps them apart from the join, so that they are made for changed rows only, one by one.
    op.execute(f"""
        CREATE FUNCTION {name}() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
        AS $$
        BEGIN
            INSERT INTO public.audit_events
                (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
            SELECT '{table}', change.id, '{operation}', change.before, change.after,
                   change.command_key, asked.command, asked.issued_by,
                   session_user, (SELECT pg_current_xact_id()::text::bigint)
            FROM ({events}) AS change (id, before, after, command_key)
            LEFT JOIN LATERAL (
                SELECT c.command, c.issued_by FROM public.commands AS c
                WHERE c.idempotency_key = change.command_key
                OFFSET 0
            ) AS asked ON true;
            RETURN NULL;
        END;
        $$
    """)
    op.execute(f"REVOKE EXECUTE ON FUNCTION {name}() FROM PUBLIC")
    op.execute(f"""
        CREATE TRIGGER {name}
        AFTER {operation} ON {table}
        REFERENCING {TRANSITION_TABLES[operation]}
        FOR EACH STATEMENT EXECUTE FUNCTION {name}()
    """)
