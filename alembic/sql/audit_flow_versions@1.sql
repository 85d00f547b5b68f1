-- Each change of a flow version leaves an audit event. How the functions work: docs/database.md, "Audit". NULLs
-- within `graph_schema` are part of it and are kept.

CREATE FUNCTION audit_flow_versions_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'flow_versions', change.id, 'INSERT', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT n.id,
               NULL::jsonb,
               CASE WHEN coalesce(n.graph_schema, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(n))
                    ELSE jsonb_strip_nulls(to_jsonb(n)) || jsonb_build_object('graph_schema', n.graph_schema) END,
               n.command_key
        FROM new_rows AS n
    ) AS change (id, before, after, command_key)
    LEFT JOIN LATERAL (
        SELECT c.command, c.issued_by FROM public.commands AS c
        WHERE c.idempotency_key = change.command_key
        OFFSET 0
    ) AS asked ON true;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_flow_versions_insert() FROM PUBLIC;

CREATE TRIGGER audit_flow_versions_insert
AFTER INSERT ON flow_versions
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_flow_versions_insert();

CREATE FUNCTION audit_flow_versions_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'flow_versions', change.id, 'UPDATE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT coalesce(n.id, o.id),
               CASE WHEN coalesce(o.graph_schema, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(o))
                    ELSE jsonb_strip_nulls(to_jsonb(o)) || jsonb_build_object('graph_schema', o.graph_schema) END,
               CASE WHEN coalesce(n.graph_schema, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(n))
                    ELSE jsonb_strip_nulls(to_jsonb(n)) || jsonb_build_object('graph_schema', n.graph_schema) END,
               n.command_key
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
        WHERE n.status <> o.status
           OR to_jsonb(o) - ARRAY['command_key', 'last_login']
              IS DISTINCT FROM to_jsonb(n) - ARRAY['command_key', 'last_login']
    ) AS change (id, before, after, command_key)
    LEFT JOIN LATERAL (
        SELECT c.command, c.issued_by FROM public.commands AS c
        WHERE c.idempotency_key = change.command_key
        OFFSET 0
    ) AS asked ON true;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_flow_versions_update() FROM PUBLIC;

CREATE TRIGGER audit_flow_versions_update
AFTER UPDATE ON flow_versions
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_flow_versions_update();

CREATE FUNCTION audit_flow_versions_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'flow_versions', change.id, 'DELETE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT o.id,
               CASE WHEN coalesce(o.graph_schema, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(o))
                    ELSE jsonb_strip_nulls(to_jsonb(o)) || jsonb_build_object('graph_schema', o.graph_schema) END,
               NULL::jsonb,
               NULL::uuid
        FROM old_rows AS o
    ) AS change (id, before, after, command_key)
    LEFT JOIN LATERAL (
        SELECT c.command, c.issued_by FROM public.commands AS c
        WHERE c.idempotency_key = change.command_key
        OFFSET 0
    ) AS asked ON true;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_flow_versions_delete() FROM PUBLIC;

CREATE TRIGGER audit_flow_versions_delete
AFTER DELETE ON flow_versions
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_flow_versions_delete();

-- A change that brings no key of its own is nobody's command.
CREATE TRIGGER trg_flow_versions_command_key
BEFORE UPDATE ON flow_versions
FOR EACH ROW WHEN (NEW.command_key = OLD.command_key) EXECUTE FUNCTION forget_command_key();
