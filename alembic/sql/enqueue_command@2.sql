-- An upstream queues a command within its own transaction, and needs no right to any table.
--
-- The function returns the command's key: the one given, or else a new one in the order of time (a UUID of version 7).
-- A key that the ledger has for the same command is returned again and nothing is written; one that it has for another
-- command is refused (guard_commands_reused). As in messages, issued_at, source and correlation_id make no command
-- another one. Fields are not checked here: a worker refuses a command that it cannot read, and says why in its verdict.
-- What would have another effect than its sender thinks is refused at once: a key among the fields, which would not count,
-- and the name of a Celery task in place of the command's.
--
-- It runs with its owner's rights, for senders have none. runworker_sender may call it, and nobody else.
CREATE FUNCTION enqueue_command(command text, payload jsonb, idempotency_key uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    not_asked CONSTANT text[] := '{issued_at,source,correlation_id}';
    random CONSTANT text := replace(gen_random_uuid()::text, '-', '');
    milliseconds CONSTANT bigint := extract(epoch FROM clock_timestamp()) * 1000;
    key CONSTANT uuid := coalesce(
        enqueue_command.idempotency_key, (lpad(to_hex(milliseconds), 12, '0') || '7' || substr(random, 14))::uuid
    );
    known record;
BEGIN
    IF starts_with(enqueue_command.command, 'runworker.') THEN
        RAISE EXCEPTION '% is the name of a task, expected that of a command: %',
            enqueue_command.command, replace(enqueue_command.command, 'runworker.', '')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(enqueue_command.payload) = 'object' AND enqueue_command.payload ? 'idempotency_key' THEN
        RAISE EXCEPTION 'The key is no field of the payload, expected as the third argument of enqueue_command.'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    INSERT INTO public.commands (idempotency_key, command, payload)
    VALUES (key, enqueue_command.command, enqueue_command.payload)
    ON CONFLICT ON CONSTRAINT pk_commands DO NOTHING;
    IF FOUND THEN
        RETURN key;
    END IF;

    SELECT c.command, c.payload, c.received_at INTO known FROM public.commands AS c WHERE c.idempotency_key = key;
    -- What is no object has no fields to be taken away, and PostgreSQL would refuse to.
    IF jsonb_typeof(known.payload) = 'object' THEN
        known.payload := known.payload - not_asked;
    END IF;
    IF jsonb_typeof(enqueue_command.payload) = 'object' THEN
        enqueue_command.payload := enqueue_command.payload - not_asked;
    END IF;
    IF (known.command, known.payload) IS DISTINCT FROM (enqueue_command.command::varchar, enqueue_command.payload) THEN
        RAISE EXCEPTION 'Key % belongs to a % received at % with another payload; a new command needs a new key.',
            key, known.command, known.received_at
            USING ERRCODE = '23505', TABLE = 'commands', CONSTRAINT = 'guard_commands_reused';
    END IF;
    RETURN key;
END;
$$;

REVOKE EXECUTE ON FUNCTION enqueue_command(text, jsonb, uuid) FROM PUBLIC;
