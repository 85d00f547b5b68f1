-- Guards that read other rows lock them and then see what others have committed. Under repeatable read and serializable
-- they would see the rows as they were when the transaction began, and let pass what another session made illegal:
-- such a transaction is refused, under the name guard_isolation. They ask for the level before they call: a call costs more
-- than what they look at.
CREATE FUNCTION require_read_committed(guarded text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION '% is not changed under isolation level %: its guards read other rows, and would not see what'
            ' others commit meanwhile.', guarded, current_setting('transaction_isolation')
            USING ERRCODE = '25000', TABLE = guarded, CONSTRAINT = 'guard_isolation',
            HINT = 'Begin the transaction with ISOLATION LEVEL READ COMMITTED.';
    END IF;
END;
$$;
