-- Each statement that deletes from the ledger, prune_commands' too, leaves one audit event: how many commands, decided
-- between when, and the keys of a thousand of them at most. Its entity_id is the first of those keys. What is added to the
-- ledger and decided is its own record.

CREATE FUNCTION audit_commands_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.audit_events (entity, entity_id, operation, before, db_user, xact_id)
    SELECT 'commands', min(idempotency_key::text)::uuid, 'DELETE',
           jsonb_build_object(
               'deleted', count(*), 'decided_from', min(decided_at), 'decided_to', max(decided_at),
               'keys', to_jsonb((array_agg(idempotency_key ORDER BY idempotency_key::text))[:1000])),
           session_user, pg_current_xact_id()::text::bigint
    FROM old_rows HAVING count(*) > 0;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_commands_delete() FROM PUBLIC;

CREATE TRIGGER audit_commands_delete
AFTER DELETE ON commands
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION audit_commands_delete();
