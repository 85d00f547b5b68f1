-- A run and its steps agree whenever a transaction commits, whoever wrote them and in whatever order.
--
--     guard_production_runs_steps         a run that is RUNNING or on HOLD has eleven steps: the current one is
--                                         IN_PROGRESS, those before it are COMPLETED, those after it PENDING, and each
--                                         but the current one may be SKIPPED
--     guard_production_runs_open_steps    a run that is COMPLETED or ABORTED leaves no step PENDING or IN_PROGRESS
--     guard_run_step_executions_run       steps do not change without their run, nor come before it is pinned
--     guard_run_step_executions_skipped   a step that the run's plan has is SKIPPED by an abort only
--     guard_run_step_executions_added     none is added to a run that is finished
--
-- A run without any step is an older system's: it can be held, resumed and aborted, but none begins so, nor is pinned so.
--
-- A step that becomes IN_PROGRESS is not looked at: no two of a run are IN_PROGRESS
-- (ex_run_step_executions_one_in_progress), so that another changes with it, or the run does. Where the same
-- transaction wrote the run, the run's trigger looks at the steps that it went through, and a step's at this step.

-- How many steps a run has, how many of them are open, and how many are not as a run on its way has them.
CREATE FUNCTION steps_of_run(checked uuid)
RETURNS TABLE (status text, here integer, many bigint, open bigint, astray bigint)
LANGUAGE sql STABLE AS $$
    SELECT run.status, run.current_step_index, step.many, step.open, step.astray
    FROM public.production_runs AS run, LATERAL (
        SELECT count(*),
               count(*) FILTER (WHERE execution.status IN ('PENDING', 'IN_PROGRESS')),
               count(*) FILTER (WHERE CASE execution.status
                   WHEN 'COMPLETED' THEN execution.step_index >= run.current_step_index
                   WHEN 'PENDING' THEN execution.step_index <= run.current_step_index
                   ELSE (execution.status = 'IN_PROGRESS') <> (execution.step_index = run.current_step_index)
               END)
        FROM public.run_step_executions AS execution WHERE execution.run_id = run.id
    ) AS step (many, open, astray)
    WHERE run.id = checked
$$;

-- guard_production_runs_steps, guard_production_runs_open_steps. In the common case the steps from where the run was
-- to where it is, or all eleven of one that begins, are as the run that the trigger was queued with has them. Where they
-- are not, the same transaction may have moved the run once more.
CREATE FUNCTION guard_steps_of_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    steps record;
    first integer := 0;
    last integer := 10;
    fitting integer;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    IF NEW.status IN ('RUNNING', 'HOLD') THEN
        IF OLD.status IN ('RUNNING', 'HOLD') AND NEW.flow_version_id = OLD.flow_version_id THEN
            first := least(OLD.current_step_index, NEW.current_step_index);
            last := greatest(OLD.current_step_index, NEW.current_step_index);
        END IF;
        SELECT count(*) INTO fitting FROM public.run_step_executions
        WHERE run_id = NEW.id AND step_index BETWEEN first AND last AND status = CASE
            WHEN step_index = NEW.current_step_index THEN 'IN_PROGRESS'
            WHEN status = 'SKIPPED' THEN 'SKIPPED'
            WHEN step_index < NEW.current_step_index THEN 'COMPLETED'
            ELSE 'PENDING'
        END;
        IF fitting = last - first + 1 THEN
            RETURN NULL;
        END IF;
    END IF;
    SELECT * INTO steps FROM public.steps_of_run(NEW.id);
    IF steps.status IN ('RUNNING', 'HOLD') AND (steps.many <> 11 OR steps.astray > 0)
       AND (steps.many > 0 OR TG_OP = 'INSERT' OR OLD.status = 'IDLE'
            OR NEW.flow_version_id IS DISTINCT FROM OLD.flow_version_id) THEN
        RAISE EXCEPTION 'Run % is % at step %, and its steps are not: of eleven, the current one is IN_PROGRESS, earlier'
            ' ones COMPLETED and later ones PENDING, or SKIPPED; it has %, of which % are otherwise.',
            NEW.id, steps.status, steps.here, steps.many, steps.astray
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_steps';
    END IF;
    IF steps.status IN ('COMPLETED', 'ABORTED') AND steps.open > 0 THEN
        RAISE EXCEPTION 'Run % cannot be % while % of its steps are PENDING or IN_PROGRESS.',
            NEW.id, steps.status, steps.open
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_open_steps';
    END IF;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION guard_steps_of_run() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER trg_production_runs_steps
AFTER INSERT OR UPDATE ON production_runs
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.status NOT IN ('IDLE', 'ARCHIVED')) EXECUTE FUNCTION guard_steps_of_run();

-- guard_run_step_executions_run, guard_run_step_executions_skipped, guard_run_step_executions_added. The run is
-- locked, so that it does not move at the same moment.
CREATE FUNCTION guard_step_of_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run record;
    steps record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM public.require_read_committed(TG_TABLE_NAME);
    END IF;
    SELECT status, current_step_index AS here, flow_version_id, xmin = pg_current_xact_id()::xid AS written_here
    INTO run FROM public.production_runs WHERE id = NEW.run_id;
    IF NOT run.written_here THEN
        SELECT status, current_step_index AS here, flow_version_id, false AS written_here INTO run
        FROM public.production_runs WHERE id = NEW.run_id FOR SHARE;
    END IF;

    IF NEW.status = 'SKIPPED' AND (CASE TG_OP
        WHEN 'UPDATE' THEN run.status NOT IN ('ABORTED', 'ARCHIVED')
        ELSE public.is_planned_step(run.flow_version_id, NEW.step_index)
    END) THEN
        RAISE EXCEPTION 'Step % of run % cannot be SKIPPED while the run is %: its plan has it.',
            NEW.step_index, NEW.run_id, run.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_skipped';
    END IF;
    IF TG_OP = 'INSERT' AND run.flow_version_id IS NULL THEN
        RAISE EXCEPTION 'Step % cannot be added to run %, which has no flow version.', NEW.step_index, NEW.run_id
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_run';
    END IF;
    IF run.written_here AND (run.status NOT IN ('RUNNING', 'HOLD') OR CASE NEW.status
        WHEN 'COMPLETED' THEN NEW.step_index < run.here
        WHEN 'PENDING' THEN NEW.step_index > run.here
        WHEN 'IN_PROGRESS' THEN NEW.step_index = run.here
        ELSE NEW.step_index <> run.here
    END) THEN
        RETURN NULL;
    END IF;

    IF TG_OP = 'INSERT' AND run.status IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN
        RAISE EXCEPTION 'Step % cannot be added to run %, which is %.', NEW.step_index, NEW.run_id, run.status
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_added';
    END IF;
    SELECT * INTO steps FROM public.steps_of_run(NEW.run_id);
    IF steps.status IN ('RUNNING', 'HOLD') AND (steps.many <> 11 OR steps.astray > 0) THEN
        RAISE EXCEPTION 'Step % of run % cannot be % while the run is % at step %, with % of eleven steps.',
            NEW.step_index, NEW.run_id, NEW.status, steps.status, steps.here, steps.many
            USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_run_step_executions_run';
    END IF;
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION guard_step_of_run() FROM PUBLIC;

-- Whether the graph of a version has a node at the index: one that says so or, where none says any, a place in the
-- chain of nodes. Groups are no steps.
CREATE FUNCTION is_planned_step(version uuid, index integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN jsonb_path_exists(drawn.nodes, '$[*].data.stepIndex ? (@ != null)')
                THEN jsonb_path_exists(drawn.nodes, '$[*].data.stepIndex ? (@ == $index)',
                                       jsonb_build_object('index', index))
                ELSE index < jsonb_array_length(drawn.nodes) END
    FROM public.flow_versions AS flow_version, LATERAL (
        SELECT jsonb_path_query_array(
            flow_version.graph_schema, '$.nodes[*] ? (!(@.type == "group" || @.data.nodeType == "group"))')
    ) AS drawn (nodes)
    WHERE flow_version.id = version
$$;

CREATE CONSTRAINT TRIGGER trg_run_step_executions_added
AFTER INSERT ON run_step_executions
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION guard_step_of_run();

CREATE CONSTRAINT TRIGGER trg_run_step_executions_run
AFTER UPDATE ON run_step_executions
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.status <> OLD.status AND NEW.status <> 'IN_PROGRESS') EXECUTE FUNCTION guard_step_of_run();
