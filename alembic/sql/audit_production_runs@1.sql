-- Each change of a run leaves an audit event. How the functions work: docs/database.md, "Audit". NULLs within
-- `summary` are part of it and are kept.

CREATE FUNCTION audit_production_runs_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'production_runs', change.id, 'INSERT', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT n.id,
               NULL::jsonb,
               CASE WHEN coalesce(n.summary, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(n))
                    ELSE jsonb_strip_nulls(to_jsonb(n)) || jsonb_build_object('summary', n.summary) END,
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
REVOKE EXECUTE ON FUNCTION audit_production_runs_insert() FROM PUBLIC;

CREATE TRIGGER audit_production_runs_insert
AFTER INSERT ON production_runs
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_production_runs_insert();

CREATE FUNCTION audit_production_runs_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'production_runs', change.id, 'UPDATE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT coalesce(n.id, o.id),
               CASE WHEN coalesce(o.summary, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(o))
                    ELSE jsonb_strip_nulls(to_jsonb(o)) || jsonb_build_object('summary', o.summary) END,
               CASE WHEN coalesce(n.summary, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(n))
                    ELSE jsonb_strip_nulls(to_jsonb(n)) || jsonb_build_object('summary', n.summary) END,
               n.command_key
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
        WHERE n.current_step_index <> o.current_step_index
           OR n.status <> o.status
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
REVOKE EXECUTE ON FUNCTION audit_production_runs_update() FROM PUBLIC;

CREATE TRIGGER audit_production_runs_update
AFTER UPDATE ON production_runs
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_production_runs_update();

CREATE FUNCTION audit_production_runs_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'production_runs', change.id, 'DELETE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT o.id,
               CASE WHEN coalesce(o.summary, '{}') = '{}' THEN jsonb_strip_nulls(to_jsonb(o))
                    ELSE jsonb_strip_nulls(to_jsonb(o)) || jsonb_build_object('summary', o.summary) END,
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
REVOKE EXECUTE ON FUNCTION audit_production_runs_delete() FROM PUBLIC;

CREATE TRIGGER audit_production_runs_delete
AFTER DELETE ON production_runs
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_production_runs_delete();

-- A change that brings no key of its own is nobody's command.
CREATE TRIGGER trg_production_runs_command_key
BEFORE UPDATE ON production_runs
FOR EACH ROW WHEN (NEW.command_key = OLD.command_key) EXECUTE FUNCTION forget_command_key();
