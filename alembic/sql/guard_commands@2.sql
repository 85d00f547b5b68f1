-- What was asked and what was answered stays.
--
--     guard_commands_identity     a command's key never changes
--     guard_commands_decided      an APPLIED, REJECTED or EXPIRED command changes its deliveries and task_id only
--     guard_commands_move         QUEUED to WAITING, APPLIED or REJECTED; WAITING to APPLIED, REJECTED or EXPIRED
--     guard_commands_payload      a payload has 1 MiB as text at most, and 64 levels
--     guard_commands_truncate     the table is never truncated
--
-- A legal decision passes by the trigger's condition alone, and so does a payload that is small enough: no function is
-- called. guard_commands_kept stands in prune_commands, which alone deletes, guard_commands_reused in enqueue_command.
--
-- The payload's bounds are no CHECK: one is held against every UPDATE too, and then what is in the ledger already could
-- never be refused. A worker that finds such a row reads nothing of it.

CREATE FUNCTION guard_command() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    expected record;
BEGIN
    IF NEW.idempotency_key <> OLD.idempotency_key THEN
        RAISE EXCEPTION 'Command %: its key never changes.', OLD.idempotency_key
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_commands_identity';
    END IF;

    IF OLD.status IN ('QUEUED', 'WAITING') THEN
        RAISE EXCEPTION 'Command % cannot go from % to %.', OLD.idempotency_key, OLD.status, NEW.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_commands_move';
    END IF;

    expected := OLD;
    expected.deliveries := NEW.deliveries;
    expected.task_id := NEW.task_id;
    IF NEW IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'Command % is % and stays as it was decided.', OLD.idempotency_key, OLD.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_commands_decided';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER trg_commands_guard
BEFORE UPDATE ON commands
FOR EACH ROW WHEN (
    OLD.status NOT IN ('QUEUED', 'WAITING')
    OR NOT (NEW.status = OLD.status OR NEW.status IN ('APPLIED', 'REJECTED')
            OR (OLD.status, NEW.status) IN (('QUEUED', 'WAITING'), ('WAITING', 'EXPIRED')))
    OR NEW.idempotency_key <> OLD.idempotency_key
)
EXECUTE FUNCTION guard_command();

CREATE TRIGGER guard_commands_truncate
BEFORE TRUNCATE ON commands
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_command_payload() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'Command %: the payload has % bytes as text; at most 1048576, nested at most 64 levels deep, are taken.',
        NEW.idempotency_key, octet_length(NEW.payload::text)
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_commands_payload';
END;
$$;

CREATE TRIGGER trg_commands_payload
BEFORE INSERT OR UPDATE OF payload ON commands
FOR EACH ROW WHEN (
    octet_length(NEW.payload::text) > 1048576 OR jsonb_path_exists(NEW.payload, 'strict $.**{65}')
)
EXECUTE FUNCTION guard_command_payload();
