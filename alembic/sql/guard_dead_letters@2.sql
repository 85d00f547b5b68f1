-- A dead letter is kept as it came.
--
--     guard_dead_letters_kept     it changes only in when and how often it was seen, why it failed last (code, error),
--                                 and when, by whom and why it was replayed and discarded
--     guard_dead_letters_truncate the table is never truncated

CREATE FUNCTION guard_dead_letter() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    expected record := OLD;
BEGIN
    expected.times := NEW.times;
    expected.code := NEW.code;
    expected.error := NEW.error;
    expected.last_seen_at := NEW.last_seen_at;
    expected.replayed_at := NEW.replayed_at;
    expected.replayed_by := NEW.replayed_by;
    expected.replay_reason := NEW.replay_reason;
    expected.discarded_at := NEW.discarded_at;
    expected.discarded_by := NEW.discarded_by;
    expected.discard_reason := NEW.discard_reason;
    IF NEW IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'Dead letter % is kept as it came: only times, reason, replay and discard may change.', OLD.id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_dead_letters_kept';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER trg_dead_letters_guard
BEFORE UPDATE ON dead_letters
FOR EACH ROW EXECUTE FUNCTION guard_dead_letter();

CREATE TRIGGER guard_dead_letters_truncate
BEFORE TRUNCATE ON dead_letters
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
