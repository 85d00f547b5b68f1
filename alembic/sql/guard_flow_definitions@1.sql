-- Flows are never truncated away: TRUNCATE would leave no audit event.
CREATE TRIGGER guard_flow_definitions_truncate
BEFORE TRUNCATE ON flow_definitions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
