-- The chain of seals can be added to and never changed, and what is added follows it.
--
--     guard_audit_seals_append_only   no UPDATE, DELETE or TRUNCATE
--     guard_audit_seals_chain         a seal begins behind the one before it and names its hash, ends at an event that is
--                                     there, and says how many it covers
--
-- The worker adds seals. One that named an event far ahead would have ended sealing for ever. What the hash is taken over
-- is for `runworker verify` to recompute.

CREATE TRIGGER guard_audit_seals_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One seal at a time: the lock is the one that sealing takes (runworker.upkeep.seal).
CREATE FUNCTION guard_audit_seal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    before record;
    covered record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    PERFORM pg_advisory_xact_lock(8247619751915118956);
    SELECT last_event_id, sha256 INTO before
    FROM public.audit_seals WHERE id <> NEW.id ORDER BY id DESC LIMIT 1;
    SELECT min(id) AS first, max(id) AS last, count(*) AS many INTO covered
    FROM public.audit_events WHERE id > coalesce(before.last_event_id, 0) AND id <= NEW.last_event_id;
    IF (covered.first, covered.last, covered.many) IS DISTINCT FROM
           (NEW.first_event_id, NEW.last_event_id, NEW.events)
       OR NEW.previous_sha256 IS DISTINCT FROM coalesce(before.sha256, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'Seal % of events % to % does not follow the chain, or is not over all events up to there.',
            NEW.id, NEW.first_event_id, NEW.last_event_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_audit_seals_chain';
    END IF;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION guard_audit_seal() FROM PUBLIC;

CREATE TRIGGER trg_audit_seals_chain
AFTER INSERT ON audit_seals
FOR EACH ROW EXECUTE FUNCTION guard_audit_seal();
