-- The list of archives can be added to and never changed, and what is added follows it.
--
--     guard_audit_archives_append_only   no UPDATE, DELETE or TRUNCATE
--     guard_audit_archives_chain         an archive begins at the seal behind the one before it, is of a later month, and
--                                        says which seals and how many events it covers
--
-- What the file holds is for `runworker seals archive` to read before it adds the row, and for `runworker verify --archives`.

CREATE TRIGGER guard_audit_archives_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_archives
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_audit_archive() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before record;
    covered record;
BEGIN
    SELECT max(month) AS month, max(last_seal_id) AS last_seal_id INTO before
    FROM public.audit_archives WHERE first_seal_id <> NEW.first_seal_id;
    SELECT min(id) AS first_seal, max(id) AS last_seal, min(first_event_id) AS first, max(last_event_id) AS last,
           sum(events) AS many INTO covered
    FROM public.audit_seals WHERE id > coalesce(before.last_seal_id, 0) AND id <= NEW.last_seal_id;
    IF (covered.first_seal, covered.last_seal, covered.first, covered.last, covered.many) IS DISTINCT FROM
           (NEW.first_seal_id, NEW.last_seal_id, NEW.first_event_id, NEW.last_event_id, NEW.events::numeric)
       OR NEW.month <= before.month OR NEW.month <> date_trunc('month', NEW.month) THEN
        RAISE EXCEPTION 'The archive of seals % to % does not follow the one before, or is not of what they cover.',
            NEW.first_seal_id, NEW.last_seal_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_audit_archives_chain';
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER trg_audit_archives_chain
AFTER INSERT ON audit_archives
FOR EACH ROW EXECUTE FUNCTION guard_audit_archive();
