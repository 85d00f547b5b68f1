-- The ledger forgets what was decided long ago, and nothing else.
--
-- The function deletes up to `most` commands, those decided longest ago first, and returns how many it deleted. It
-- runs with its owner's rights, for the worker has none to delete. It refuses to forget what was decided within 24
-- hours (guard_commands_kept), and keeps whatever is not decided, and every command of a run that is not ARCHIVED:
-- until then the ledger is part of the run's record. It leaves out rows that somebody else works on, so that several
-- workers may prune at once.
--
-- enable_seqscan: plans are cached, and the first may be made while tables are empty; look-ups shall stay look-ups.
CREATE FUNCTION prune_commands(older_than interval, most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    pruned integer;
BEGIN
    IF older_than IS NULL OR now() - older_than > now() - interval '24 hours' THEN
        RAISE EXCEPTION 'Commands decided % ago are not forgotten: the ledger keeps them 24 hours at least.',
            coalesce(older_than::text, 'some time')
            USING ERRCODE = '23514', TABLE = 'commands', CONSTRAINT = 'guard_commands_kept';
    END IF;
    -- decided_at says that a command is decided: ck_commands_decided.
    -- A look-up for each row and no join: the index on decided_at is followed until there are enough.
    DELETE FROM public.commands
    WHERE idempotency_key = ANY (ARRAY(
        SELECT c.idempotency_key FROM public.commands AS c
        WHERE c.decided_at <= now() - older_than
          AND coalesce(
              (SELECT run.status FROM public.production_runs AS run WHERE run.id = c.run_id), 'ARCHIVED'
          ) = 'ARCHIVED'
        ORDER BY c.decided_at
        LIMIT most
        FOR UPDATE OF c SKIP LOCKED
    ));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END;
$$;

REVOKE EXECUTE ON FUNCTION prune_commands(interval, integer) FROM PUBLIC;
