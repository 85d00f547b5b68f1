-- A run makes no move that the plant does not know, whoever tries it.
--
--     guard_production_runs_insert        a run begins IDLE or RUNNING, at step 0
--     guard_production_runs_pin           it is pinned to a flow version that is PUBLISHED, then and when it starts
--     guard_production_runs_repin         the pin never changes; a legacy run without one is pinned once
--     guard_production_runs_adoption      a legacy run that is RUNNING or on HOLD gets its pin and its step together, once:
--                                         a step of the plan, in the state that the run is in, and while it has no steps
--     guard_production_runs_identity      id and run_code never change, nor idempotency_key once it is set
--     guard_production_runs_move          legal moves only
--     guard_production_runs_read_only     a COMPLETED, ABORTED or ARCHIVED run changes by archiving only, and then
--                                         nothing but status, status_reason and command_key
--     guard_production_runs_step          the step goes to the next planned one while RUNNING, or back to an earlier
--                                         planned one while RUNNING or on HOLD, and not together with the status
--     guard_production_runs_unfinished    COMPLETED comes after the last planned step
--     guard_production_runs_quality       the run does not advance or complete while a lot of its step is on HOLD
--     guard_production_runs_live_lots     it neither goes back behind a lot that is not REJECTED nor is adopted there
--     guard_production_runs_reason        HOLD, ABORTED, a way back, a resumption and an adoption say why: 10 characters at
--                                         least, not counting spaces around
--     guard_production_runs_delete        only an IDLE run is deleted
--     guard_production_runs_truncate      the table is never truncated
--
-- New runs are looked at once they are written: an upsert of a run that is there is an UPDATE, or nothing. The functions run
-- with their owner's rights, so that whoever may write runs need not read versions, steps and lots.
--
-- A planned step is a row of run_step_executions that is not SKIPPED.

-- The run is pinned to a PUBLISHED version. FOR SHARE: a version that is being withdrawn at this moment is waited
-- for and then seen as it has become. A missing version is reported as the foreign key would report it. The function
-- has no search_path of its own: the guard that calls it has set it.
CREATE FUNCTION guard_production_run_pin(run uuid, version uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    version_status text;
BEGIN
    SELECT status INTO version_status FROM public.flow_versions WHERE id = version FOR SHARE;
    IF version_status = 'PUBLISHED' THEN
        RETURN;
    END IF;
    IF version IS NOT NULL AND version_status IS NULL THEN
        RAISE EXCEPTION 'Run % cannot be pinned to flow version %: there is none with this id.', run, version
            USING ERRCODE = '23503', TABLE = 'production_runs', CONSTRAINT = 'fk_production_runs_flow_version';
    END IF;
    RAISE EXCEPTION 'Run % cannot be pinned to flow version %, which is %: a run is pinned to a PUBLISHED one.',
        run, version, version_status
        USING ERRCODE = '23514', TABLE = 'production_runs', CONSTRAINT = 'guard_production_runs_pin';
END;
$$;

-- No run leaves its lots behind. Which other lots quality control has to be done with depends on the gates of the
-- plan, which the worker reads. A lot that goes on HOLD locks its run (trg_lots_update_hold): either the run sees
-- the HOLD, or it had moved on before.
--
-- enable_seqscan: plans are cached, and the first may be made while tables are empty; look-ups shall stay look-ups.
CREATE FUNCTION guard_production_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    expected record;
    last_step integer;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status NOT IN ('IDLE', 'RUNNING') OR NEW.current_step_index <> 0 THEN
            RAISE EXCEPTION 'Run % cannot begin % at step %: a run begins IDLE or RUNNING at step 0.',
                NEW.id, NEW.status, NEW.current_step_index
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_insert';
        END IF;
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM public.require_read_committed(TG_TABLE_NAME);
        END IF;
        PERFORM public.guard_production_run_pin(NEW.id, NEW.flow_version_id);
        RETURN NEW;
    END IF;

    IF TG_OP = 'DELETE' THEN
        IF OLD.status <> 'IDLE' THEN
            RAISE EXCEPTION 'Run % is % and cannot be deleted: only an IDLE run can.', OLD.id, OLD.status
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_delete';
        END IF;
        RETURN OLD;
    END IF;

    IF NEW.id <> OLD.id OR NEW.run_code <> OLD.run_code
       OR (OLD.idempotency_key IS NOT NULL AND NEW.idempotency_key IS DISTINCT FROM OLD.idempotency_key) THEN
        RAISE EXCEPTION 'Run %: id, run_code and idempotency_key never change.', OLD.id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_identity';
    END IF;

    IF NEW.flow_version_id IS DISTINCT FROM OLD.flow_version_id AND OLD.flow_version_id IS NOT NULL THEN
        RAISE EXCEPTION 'Run % is pinned to flow version %: the pin never changes.', OLD.id, OLD.flow_version_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_repin';
    END IF;

    IF NEW.status <> OLD.status AND NOT (CASE OLD.status
        WHEN 'IDLE' THEN NEW.status IN ('RUNNING', 'ABORTED')
        WHEN 'RUNNING' THEN NEW.status IN ('HOLD', 'COMPLETED', 'ABORTED')
        WHEN 'HOLD' THEN NEW.status IN ('RUNNING', 'ABORTED')
        WHEN 'COMPLETED' THEN NEW.status = 'ARCHIVED'
        WHEN 'ABORTED' THEN NEW.status = 'ARCHIVED'
        ELSE false
    END) THEN
        RAISE EXCEPTION 'Run % cannot go from % to %.', OLD.id, OLD.status, NEW.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_move';
    END IF;

    IF OLD.status IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN
        expected := OLD;
        expected.status := 'ARCHIVED';
        expected.status_reason := NEW.status_reason;
        expected.command_key := NEW.command_key;
        IF NEW.status = OLD.status OR NEW IS DISTINCT FROM expected THEN
            RAISE EXCEPTION 'Run % is % and read-only: it can be archived, with nothing else changed.',
                OLD.id, OLD.status
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_read_only';
        END IF;
        RETURN NEW;
    END IF;

    IF (NEW.status, NEW.current_step_index, NEW.flow_version_id)
       IS DISTINCT FROM (OLD.status, OLD.current_step_index, OLD.flow_version_id) THEN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM public.require_read_committed(TG_TABLE_NAME);
        END IF;
    END IF;

    IF NEW.flow_version_id IS DISTINCT FROM OLD.flow_version_id
       OR (OLD.status = 'IDLE' AND NEW.status = 'RUNNING') THEN
        PERFORM public.guard_production_run_pin(NEW.id, NEW.flow_version_id);
    END IF;

    IF OLD.flow_version_id IS NULL AND NEW.flow_version_id IS NOT NULL AND OLD.status <> 'IDLE' THEN
        IF NEW.status <> OLD.status
           OR public.is_planned_step(NEW.flow_version_id, NEW.current_step_index) IS NOT TRUE
           OR EXISTS (SELECT FROM public.run_step_executions WHERE run_id = NEW.id) THEN
            RAISE EXCEPTION 'Run %, which is %, cannot be adopted as % at step % of flow version %: a run that has no steps'
                ' yet is adopted in its state, at a step of the plan.',
                NEW.id, OLD.status, NEW.status, NEW.current_step_index, NEW.flow_version_id
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_adoption';
        END IF;
    ELSIF NEW.current_step_index <> OLD.current_step_index THEN
        IF NEW.status <> OLD.status THEN
            RAISE EXCEPTION 'Run % cannot go from step % to % and from % to % at once: one after the other.',
                OLD.id, OLD.current_step_index, NEW.current_step_index, OLD.status, NEW.status
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_step';
        END IF;
        IF NOT (CASE WHEN NEW.current_step_index > OLD.current_step_index
                     THEN NEW.status = 'RUNNING' AND NEW.current_step_index IS NOT DISTINCT FROM (
                         SELECT min(step_index) FROM public.run_step_executions
                         WHERE run_id = NEW.id AND step_index > OLD.current_step_index AND status <> 'SKIPPED')
                     ELSE NEW.status IN ('RUNNING', 'HOLD') AND EXISTS (
                         SELECT FROM public.run_step_executions
                         WHERE run_id = NEW.id AND step_index = NEW.current_step_index AND status <> 'SKIPPED')
                END) THEN
            RAISE EXCEPTION 'Run %, which is %, cannot go from step % to step %: a RUNNING run goes to its next planned'
                ' step, a RUNNING run or one on HOLD back to an earlier planned one.',
                NEW.id, NEW.status, OLD.current_step_index, NEW.current_step_index
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_step';
        END IF;
    END IF;

    IF NEW.status = 'COMPLETED' THEN
        SELECT max(step_index) INTO last_step FROM public.run_step_executions
        WHERE run_id = NEW.id AND status <> 'SKIPPED';
        IF last_step IS NULL OR last_step > NEW.current_step_index THEN
            RAISE EXCEPTION 'Run % is at step % and cannot be COMPLETED: its last planned step is %.',
                NEW.id, NEW.current_step_index, coalesce(last_step::text, 'unknown, it has no step rows')
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_unfinished';
        END IF;
    END IF;

    IF NEW.current_step_index < OLD.current_step_index
       OR OLD.flow_version_id IS NULL AND NEW.flow_version_id IS NOT NULL AND OLD.status <> 'IDLE' THEN
        IF EXISTS (
            SELECT FROM public.lots
            WHERE production_run_id = OLD.id AND step_index > NEW.current_step_index AND status <> 'REJECTED'
        ) THEN
            RAISE EXCEPTION 'Run % cannot be at step % again, or be adopted there: live lots belong to later steps.',
                OLD.id, NEW.current_step_index
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_live_lots';
        END IF;
    ELSIF NEW.current_step_index > OLD.current_step_index OR (NEW.status = 'COMPLETED' AND OLD.status = 'RUNNING') THEN
        IF EXISTS (
            SELECT FROM public.lots
            WHERE production_run_id = OLD.id AND step_index = OLD.current_step_index AND status = 'HOLD'
        ) THEN
            RAISE EXCEPTION 'Run % cannot leave step %: a lot of this step is on HOLD.',
                OLD.id, OLD.current_step_index
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_quality';
        END IF;
    END IF;

    RETURN NEW;
END;
$$;

REVOKE EXECUTE ON FUNCTION guard_production_run() FROM PUBLIC;

CREATE TRIGGER trg_production_runs_guard
BEFORE UPDATE OR DELETE ON production_runs
FOR EACH ROW EXECUTE FUNCTION guard_production_run();

CREATE TRIGGER trg_production_runs_insert
AFTER INSERT ON production_runs
FOR EACH ROW EXECUTE FUNCTION guard_production_run();

-- guard_production_runs_reason.
CREATE FUNCTION guard_production_run_reason() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'Run % goes from % at step % to % at step % for no reason: say why in status_reason, in 10 characters'
        ' at least.', NEW.id, OLD.status, OLD.current_step_index, NEW.status, NEW.current_step_index
        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_reason';
END;
$$;

CREATE TRIGGER trg_production_runs_reason
BEFORE UPDATE ON production_runs
FOR EACH ROW WHEN (
    (NEW.status <> OLD.status AND (NEW.status IN ('HOLD', 'ABORTED') OR OLD.status = 'HOLD')
     OR NEW.current_step_index < OLD.current_step_index
     OR OLD.flow_version_id IS NULL AND NEW.flow_version_id IS NOT NULL AND OLD.status <> 'IDLE')
    AND coalesce(char_length(btrim(NEW.status_reason, E' \t\n\r')), 0) < 10
)
EXECUTE FUNCTION guard_production_run_reason();

CREATE TRIGGER guard_production_runs_truncate
BEFORE TRUNCATE ON production_runs
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
