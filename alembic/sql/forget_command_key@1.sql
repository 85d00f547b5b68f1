-- A change made by hand never passes for the work of the last command. An UPDATE that leaves command_key as it was
-- did not come from a command: the key becomes NULL, and the audit event has no actor but the database user.
-- Commands always bring another key, so that the triggers' conditions keep this function out of their way. The
-- triggers stand in the audit_* file of their table.
CREATE FUNCTION forget_command_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.command_key := NULL;
    RETURN NEW;
END;
$$;
