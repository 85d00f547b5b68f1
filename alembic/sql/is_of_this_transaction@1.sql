-- Whether a row that can be seen was written by this transaction: xmin is the writer. One that wrote in a savepoint has an
-- id after the transaction's own and is still in progress, which no other whose rows can be seen is. Only the sixteen
-- million ids that follow are looked at: one that is further away is another's, of long ago.
CREATE FUNCTION is_of_this_transaction(writer xid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN later.by = 0 THEN true
                WHEN later.by < 16777216 THEN pg_xact_status((this.id + later.by)::text::xid8) = 'in progress'
                ELSE false END
    FROM (SELECT pg_current_xact_id()::text::bigint) AS this (id),
         LATERAL (SELECT (writer::text::bigint - this.id) & 4294967295) AS later (by)
$$;
