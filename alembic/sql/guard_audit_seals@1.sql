-- The chain of seals can be added to and never changed: no UPDATE, DELETE or TRUNCATE.
CREATE TRIGGER guard_audit_seals_append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
