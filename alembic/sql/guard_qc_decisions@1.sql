-- A quality decision is kept: one that was wrong is followed by another.
--
--     guard_qc_decisions_kept         a decision neither changes nor goes
--     guard_qc_decisions_truncate     the table is never truncated

CREATE TRIGGER guard_qc_decisions_kept
BEFORE UPDATE OR DELETE ON qc_decisions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER guard_qc_decisions_truncate
BEFORE TRUNCATE ON qc_decisions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
