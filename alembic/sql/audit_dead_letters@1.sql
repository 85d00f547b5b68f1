-- Each replay and each discard of a dead letter leaves an audit event, and so does a deletion by hand. That a letter
-- came, or came again, leaves none: senders could fill the trail. A row at a time, as the triggers' conditions keep all
-- else away from the functions.
--
-- Letters have numbers where events have UUIDs: the event's entity_id is the first half of the letter's body_sha256,
-- and its number stands in before and after. Those leave out what the sender wrote (raw_body, headers).

CREATE FUNCTION audit_dead_letters_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    discarded boolean := (NEW.discarded_at, NEW.discarded_by, NEW.discard_reason)
                         IS DISTINCT FROM (OLD.discarded_at, OLD.discarded_by, OLD.discard_reason);
BEGIN
    INSERT INTO public.audit_events (entity, entity_id, operation, before, after, actor, db_user, xact_id)
    SELECT 'dead_letters', rpad(encode(substring(NEW.body_sha256 FOR 16), 'hex'), 32, '0')::uuid, 'UPDATE',
           jsonb_strip_nulls(to_jsonb(OLD) - ARRAY['raw_body', 'headers']),
           jsonb_strip_nulls(to_jsonb(NEW) - ARRAY['raw_body', 'headers']),
           CASE WHEN discarded THEN NEW.discarded_by ELSE NEW.replayed_by END,
           session_user, pg_current_xact_id()::text::bigint;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_dead_letters_update() FROM PUBLIC;

CREATE TRIGGER audit_dead_letters_update
AFTER UPDATE ON dead_letters
FOR EACH ROW WHEN (
    (NEW.replayed_at, NEW.replayed_by, NEW.replay_reason, NEW.discarded_at, NEW.discarded_by, NEW.discard_reason)
    IS DISTINCT FROM
    (OLD.replayed_at, OLD.replayed_by, OLD.replay_reason, OLD.discarded_at, OLD.discarded_by, OLD.discard_reason)
)
EXECUTE FUNCTION audit_dead_letters_update();

CREATE FUNCTION audit_dead_letters_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.audit_events (entity, entity_id, operation, before, db_user, xact_id)
    SELECT 'dead_letters', rpad(encode(substring(OLD.body_sha256 FOR 16), 'hex'), 32, '0')::uuid, 'DELETE',
           jsonb_strip_nulls(to_jsonb(OLD) - ARRAY['raw_body', 'headers']),
           session_user, pg_current_xact_id()::text::bigint;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION audit_dead_letters_delete() FROM PUBLIC;

CREATE TRIGGER audit_dead_letters_delete
AFTER DELETE ON dead_letters
FOR EACH ROW EXECUTE FUNCTION audit_dead_letters_delete();
