-- The audit trail can be added to and never changed; what is archived leaves it where later events tell the rest.
--
--     guard_audit_events_append_only   no UPDATE or TRUNCATE
--     guard_audit_events_kept          an event is deleted only when it is archived, and archived events after it tell all
--                                      of its row that it tells
--
-- So what is left of archived months is the last event of each row. `runworker verify` holds the row against it, and against
-- it the event that comes next. The first event of the trail stays, for it says when the trail began, and the last
-- archived one, so that the trail never ends before its last seal.

CREATE TRIGGER guard_audit_events_append_only
BEFORE UPDATE OR TRUNCATE ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Steps of a run share events: one goes when each of its steps has a later one. Of what the ledger forgot, no row is left.
--
-- enable_seqscan: plans are cached, and the first may be made while tables are empty; look-ups shall stay look-ups.
CREATE FUNCTION is_forgettable(event_id bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    SELECT event.id < archived.last_id
       AND event.id > (SELECT first_event_id FROM public.audit_seals ORDER BY id LIMIT 1)
       AND CASE event.entity
           WHEN 'commands' THEN true
           WHEN 'run_step_executions' THEN NOT EXISTS (
               SELECT FROM jsonb_object_keys(coalesce(event.after, event.before)) AS step (key)
               WHERE NOT EXISTS (
                   SELECT FROM public.audit_events AS later
                   WHERE later.entity_id = event.entity_id AND later.id > event.id AND later.id <= archived.last_id
                     AND later.entity = event.entity AND coalesce(later.after, later.before) ? step.key
               )
           )
           ELSE EXISTS (
               SELECT FROM public.audit_events AS later
               WHERE later.entity_id = event.entity_id AND later.id > event.id AND later.id <= archived.last_id
                 AND later.entity = event.entity
           ) END
    FROM public.audit_events AS event, (SELECT max(last_event_id) FROM public.audit_archives) AS archived (last_id)
    WHERE event.id = event_id
$$;
REVOKE EXECUTE ON FUNCTION is_forgettable(bigint) FROM PUBLIC;

CREATE FUNCTION guard_audit_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF public.is_forgettable(OLD.id) IS NOT TRUE THEN
        RAISE EXCEPTION 'Event % stays: it is not archived, or no later event tells of its row.', OLD.id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_audit_events_kept';
    END IF;
    RETURN OLD;
END;
$$;

CREATE TRIGGER trg_audit_events_delete
BEFORE DELETE ON audit_events
FOR EACH ROW EXECUTE FUNCTION guard_audit_event();
