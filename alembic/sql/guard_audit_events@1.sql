-- The audit trail can be added to and never changed: no UPDATE, DELETE or TRUNCATE.
CREATE TRIGGER guard_audit_events_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
