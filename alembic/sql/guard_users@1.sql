-- Users are never truncated away: TRUNCATE would leave no audit event.
CREATE TRIGGER guard_users_truncate
BEFORE TRUNCATE ON users
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
