-- The steps of a run make no move that the plant does not know, and none once the run is finished.
--
--     guard_run_step_executions_insert    a step begins PENDING, IN_PROGRESS or SKIPPED; or COMPLETED, where its run has come
--                                         beyond it without steps, as a legacy run that is adopted has
--     guard_run_step_executions_identity  id, run, index and node never change
--     guard_run_step_executions_move      legal moves only
--     guard_run_step_executions_finished  the steps of a finished run neither go back nor are edited
--     guard_run_step_executions_delete    a step is deleted with its IDLE run only
--     guard_run_step_executions_truncate  the table is never truncated
--
-- The function runs with its owner's rights, so that whoever may write steps need not read runs.
--
-- Legal inserts and moves forward, the hot path, pass by the triggers' conditions alone: no function is called. They
-- need not ask for the run's state either, which a command that finishes a run may write before its steps: once a
-- run is finished, no step is left that could move forward.

CREATE FUNCTION guard_run_step_execution() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    expected record;
    run_status text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status = 'COMPLETED' AND EXISTS (
            SELECT FROM public.production_runs
            WHERE id = NEW.run_id AND status IN ('RUNNING', 'HOLD') AND current_step_index > NEW.step_index
        ) THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'Step % of run % cannot begin %: a step begins PENDING, IN_PROGRESS or SKIPPED.',
            NEW.step_index, NEW.run_id, NEW.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_insert';
    END IF;

    IF TG_OP = 'DELETE' THEN
        -- Deleted by cascade, it finds its run gone.
        SELECT status INTO run_status FROM public.production_runs WHERE id = OLD.run_id;
        IF run_status <> 'IDLE' THEN
            RAISE EXCEPTION 'Step % of run % cannot be deleted: the run is %, not IDLE.',
                OLD.step_index, OLD.run_id, run_status
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_delete';
        END IF;
        RETURN OLD;
    END IF;

    IF NEW.run_id <> OLD.run_id OR NEW.step_index <> OLD.step_index OR NEW.node_id <> OLD.node_id
       OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'Step % of run %: id, run, index and node never change.', OLD.step_index, OLD.run_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_identity';
    END IF;

    IF NEW.status <> OLD.status AND NOT (CASE OLD.status
        WHEN 'IN_PROGRESS' THEN NEW.status = 'PENDING'
        WHEN 'COMPLETED' THEN NEW.status IN ('PENDING', 'IN_PROGRESS')
        ELSE false
    END) THEN
        RAISE EXCEPTION 'Step % of run % cannot go from % to %.',
            OLD.step_index, OLD.run_id, OLD.status, NEW.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_move';
    END IF;

    expected := OLD;
    expected.command_key := NEW.command_key;
    IF NEW IS NOT DISTINCT FROM expected THEN
        RETURN NEW;
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    SELECT status INTO run_status FROM public.production_runs WHERE id = NEW.run_id FOR SHARE;
    IF run_status IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN
        RAISE EXCEPTION 'Step % of run % does not change any more: the run is %.',
            OLD.step_index, OLD.run_id, run_status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_finished';
    END IF;
    RETURN NEW;
END;
$$;

REVOKE EXECUTE ON FUNCTION guard_run_step_execution() FROM PUBLIC;

-- Once it is written: an upsert of a step that is there is an UPDATE, or nothing.
CREATE TRIGGER trg_run_step_executions_insert
AFTER INSERT ON run_step_executions
FOR EACH ROW WHEN (NEW.status NOT IN ('PENDING', 'IN_PROGRESS', 'SKIPPED'))
EXECUTE FUNCTION guard_run_step_execution();

CREATE TRIGGER trg_run_step_executions_update
BEFORE UPDATE ON run_step_executions
FOR EACH ROW WHEN (
    (OLD.status, NEW.status) NOT IN (('PENDING', 'IN_PROGRESS'), ('PENDING', 'SKIPPED'),
                                     ('IN_PROGRESS', 'COMPLETED'), ('IN_PROGRESS', 'SKIPPED'))
    OR NEW.run_id <> OLD.run_id OR NEW.step_index <> OLD.step_index OR NEW.node_id <> OLD.node_id
    OR NEW.id <> OLD.id
)
EXECUTE FUNCTION guard_run_step_execution();

CREATE TRIGGER trg_run_step_executions_delete
BEFORE DELETE ON run_step_executions
FOR EACH ROW EXECUTE FUNCTION guard_run_step_execution();

CREATE TRIGGER guard_run_step_executions_truncate
BEFORE TRUNCATE ON run_step_executions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
