-- Every statement that reaches this function is refused, in the name of its trigger: `guard_<table>_kept`,
-- `guard_<table>_append_only`, `guard_<table>_truncate`. The triggers stand in the file of their table.
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: what it holds is kept as it was written.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END;
$$;
