-- A quality decision is kept: one that was wrong is followed by another.
--
--     guard_qc_decisions_kept         a decision neither changes nor goes
--     guard_qc_decisions_notes        HOLD and FAIL say why: 10 characters at least, not counting spaces around
--     guard_qc_decisions_truncate     the table is never truncated

CREATE TRIGGER guard_qc_decisions_kept
BEFORE UPDATE OR DELETE ON qc_decisions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER guard_qc_decisions_truncate
BEFORE TRUNCATE ON qc_decisions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_qc_decision_notes() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'The decision % on lot % says no reason: say why in notes, in 10 characters at least.',
        NEW.decision, NEW.lot_id
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_qc_decisions_notes';
END;
$$;

CREATE TRIGGER trg_qc_decisions_notes
AFTER INSERT ON qc_decisions
FOR EACH ROW WHEN (
    NEW.decision IN ('HOLD', 'FAIL') AND coalesce(char_length(btrim(NEW.notes, E' \t\n\r')), 0) < 10
)
EXECUTE FUNCTION guard_qc_decision_notes();
