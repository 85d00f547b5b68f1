-- Each link of two lots leaves an audit event. How the functions work: docs/database.md, "Audit". Links neither
-- change nor go (guard_lot_genealogy_kept); what the tables' owner does with the guard put aside is recorded all the
-- same.

CREATE FUNCTION audit_lot_genealogy_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'lot_genealogy', change.id, 'INSERT', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT n.id, NULL::jsonb, jsonb_strip_nulls(to_jsonb(n)), n.command_key
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
REVOKE EXECUTE ON FUNCTION audit_lot_genealogy_insert() FROM PUBLIC;

CREATE TRIGGER audit_lot_genealogy_insert
AFTER INSERT ON lot_genealogy
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_lot_genealogy_insert();

CREATE FUNCTION audit_lot_genealogy_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'lot_genealogy', change.id, 'UPDATE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT coalesce(n.id, o.id), jsonb_strip_nulls(to_jsonb(o)), jsonb_strip_nulls(to_jsonb(n)), n.command_key
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
        WHERE to_jsonb(o) - ARRAY['command_key', 'last_login']
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
REVOKE EXECUTE ON FUNCTION audit_lot_genealogy_update() FROM PUBLIC;

CREATE TRIGGER audit_lot_genealogy_update
AFTER UPDATE ON lot_genealogy
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_lot_genealogy_update();

CREATE FUNCTION audit_lot_genealogy_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO public.audit_events
        (entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id)
    SELECT 'lot_genealogy', change.id, 'DELETE', change.before, change.after,
           change.command_key, asked.command, asked.issued_by,
           session_user, (SELECT pg_current_xact_id()::text::bigint)
    FROM (
        SELECT o.id, jsonb_strip_nulls(to_jsonb(o)), NULL::jsonb, NULL::uuid
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
REVOKE EXECUTE ON FUNCTION audit_lot_genealogy_delete() FROM PUBLIC;

CREATE TRIGGER audit_lot_genealogy_delete
AFTER DELETE ON lot_genealogy
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_lot_genealogy_delete();
