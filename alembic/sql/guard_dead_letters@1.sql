-- A dead letter is kept as it came.
--
--     guard_dead_letters_kept     it changes only in when and how often it was seen, why it failed last (code, error),
--                                 and when and by whom it was replayed

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
    IF NEW IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'Dead letter % is kept as it came: only times, reason and replay may change.', OLD.id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_dead_letters_kept';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER trg_dead_letters_guard
BEFORE UPDATE ON dead_letters
FOR EACH ROW EXECUTE FUNCTION guard_dead_letter();
