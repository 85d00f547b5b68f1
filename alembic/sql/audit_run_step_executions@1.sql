-- The steps of a run change together, so that one event of a run and command holds all steps that a statement changed:
-- `before` and `after` are objects with a member for each step index. All steps are turned into one document at
-- once. How the functions work: docs/database.md, "Audit".

CREATE FUNCTION audit_run_step_executions_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'run_step_executions', change.id, 'INSERT', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT n.run_id, NULL::jsonb, jsonb_strip_nulls(jsonb_object_agg(n.step_index, n)), n.command_key
        FROM new_rows AS n
        GROUP BY n.run_id, n.command_key
    ) AS change (id, before, after, command_key)
    LEFT JOIN LATERAL (
        SELECT c.command, c.issued_by FROM public.commands AS c
        WHERE c.idempotency_key = change.command_key
        OFFSET 0
    ) AS asked ON true;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_run_step_executions_insert() FROM PUBLIC;

CREATE TRIGGER audit_run_step_executions_insert
AFTER INSERT ON run_step_executions
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_run_step_executions_insert();

CREATE FUNCTION audit_run_step_executions_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'run_step_executions', change.id, 'UPDATE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT coalesce(n.run_id, o.run_id),
               jsonb_strip_nulls(jsonb_object_agg(coalesce(n.step_index, o.step_index), o)),
               jsonb_strip_nulls(jsonb_object_agg(coalesce(n.step_index, o.step_index), n)),
               n.command_key
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
        WHERE n.status <> o.status
           OR to_jsonb(o) - ARRAY['command_key', 'last_login']
              IS DISTINCT FROM to_jsonb(n) - ARRAY['command_key', 'last_login']
        GROUP BY 1, 4
    ) AS change (id, before, after, command_key)
    LEFT JOIN LATERAL (
        SELECT c.command, c.issued_by FROM public.commands AS c
        WHERE c.idempotency_key = change.command_key
        OFFSET 0
    ) AS asked ON true;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_run_step_executions_update() FROM PUBLIC;

CREATE TRIGGER audit_run_step_executions_update
AFTER UPDATE ON run_step_executions
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_run_step_executions_update();

CREATE FUNCTION audit_run_step_executions_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'run_step_executions', change.id, 'DELETE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT o.run_id, jsonb_strip_nulls(jsonb_object_agg(o.step_index, o)), NULL::jsonb, NULL::uuid
        FROM old_rows AS o
        GROUP BY o.run_id
    ) AS change (id, before, after, command_key)
    LEFT JOIN LATERAL (
        SELECT c.command, c.issued_by FROM public.commands AS c
        WHERE c.idempotency_key = change.command_key
        OFFSET 0
    ) AS asked ON true;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_run_step_executions_delete() FROM PUBLIC;

CREATE TRIGGER audit_run_step_executions_delete
AFTER DELETE ON run_step_executions
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_run_step_executions_delete();

-- A change that brings no key of its own is nobody's command.
CREATE TRIGGER trg_run_step_executions_command_key
BEFORE UPDATE ON run_step_executions
FOR EACH ROW WHEN (NEW.command_key = OLD.command_key) EXECUTE FUNCTION forget_command_key();
