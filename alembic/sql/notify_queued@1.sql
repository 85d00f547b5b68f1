-- Workers are told of commands that were queued, once their transaction has committed.
--
-- They listen on the channel runworker_queued and look into the ledger themselves: the notification says nothing else,
-- so that PostgreSQL makes one of all rows of a transaction. A row that a worker writes has another state, and the
-- trigger's condition lets it pass without calling anything.
--
-- NOTIFY and two-phase commit exclude each other. A transaction that ends in PREPARE TRANSACTION says before its
-- insert: SET LOCAL runworker.notify = 'off'. Workers then find the command when they next look by themselves.
CREATE FUNCTION notify_queued() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('runworker_queued', '');
    RETURN NULL;
END;
$$;

CREATE TRIGGER trg_commands_notify
AFTER INSERT ON commands
FOR EACH ROW WHEN (
    NEW.status = 'QUEUED' AND current_setting('runworker.notify', true) IS DISTINCT FROM 'off'
)
EXECUTE FUNCTION notify_queued();
