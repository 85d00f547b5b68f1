"""Guard production runs: no move that the plant does not know, whoever tries it.

    guard_production_runs_insert        a run begins IDLE or RUNNING, at step 0
    guard_production_runs_pin           it is pinned to a flow version that is PUBLISHED, then and when it starts
    guard_production_runs_repin         the pin never changes; a legacy run without one is pinned once
    guard_production_runs_identity      id and run_code never change, nor idempotency_key once it is set
    guard_production_runs_move          legal moves only
    guard_production_runs_read_only     a COMPLETED, ABORTED or ARCHIVED run changes by archiving only, and then nothing
                                        but status, status_reason and command_key
    guard_production_runs_step          the step goes to the next planned one while RUNNING, or back to an earlier
                                        planned one while RUNNING or on HOLD, and not together with the status
    guard_production_runs_unfinished    COMPLETED comes after the last planned step
    guard_production_runs_delete        only an IDLE run is deleted
    guard_production_runs_truncate      the table is never truncated

A planned step is a row of run_step_executions that is not SKIPPED. A missing flow version is reported as
fk_production_runs_flow_version, as the foreign key would.

Revision ID: 20260125_guard_production_runs
Revises: 20260125_forget_command_key
"""

from alembic import op

revision = "20260125_guard_production_runs"
down_revision = "20260125_forget_command_key"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _pin()
    _step()
    _guard()
    op.execute("""
        CREATE TRIGGER trg_production_runs_guard
        BEFORE INSERT OR UPDATE OR DELETE ON production_runs
        FOR EACH ROW EXECUTE FUNCTION guard_production_run()
    """)
    op.execute("""
        CREATE TRIGGER guard_production_runs_truncate
        BEFORE TRUNCATE ON production_runs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_production_runs_truncate ON production_runs")
    op.execute("DROP TRIGGER trg_production_runs_guard ON production_runs")
    op.execute("DROP FUNCTION guard_production_run()")
    op.execute("DROP FUNCTION guard_production_run_step(uuid, text, integer, integer)")
    op.execute("DROP FUNCTION guard_production_run_pin(uuid, uuid)")


def _pin() -> None:
    # FOR SHARE: a version that is being withdrawn at this moment is waited for and then seen as it has become.
    # Without a search_path of its own, as is the next one: the guard that calls them has set it.
    op.execute("""
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
        $$
    """)


def _step() -> None:
    op.execute("""
        CREATE FUNCTION guard_production_run_step(run uuid, run_status text, from_step integer, to_step integer)
        RETURNS void
        LANGUAGE plpgsql AS $$
        BEGIN
            IF to_step > from_step AND run_status = 'RUNNING' THEN
                IF to_step = (
                    SELECT min(step_index) FROM public.run_step_executions
                    WHERE run_id = run AND step_index > from_step AND status <> 'SKIPPED'
                ) THEN
                    RETURN;
                END IF;
            ELSIF to_step < from_step AND run_status IN ('RUNNING', 'HOLD') THEN
                IF EXISTS (
                    SELECT FROM public.run_step_executions
                    WHERE run_id = run AND step_index = to_step AND status <> 'SKIPPED'
                ) THEN
                    RETURN;
                END IF;
            END IF;
            RAISE EXCEPTION 'Run %, which is %, cannot go from step % to step %: a RUNNING run goes to its next planned'
                ' step, a RUNNING run or one on HOLD back to an earlier planned one.',
                run, run_status, from_step, to_step
                USING ERRCODE = '23514', TABLE = 'production_runs', CONSTRAINT = 'guard_production_runs_step';
        END;
        $$
    """)


def _guard() -> None:
    op.execute("""
        CREATE FUNCTION guard_production_run() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

            IF NEW.flow_version_id IS DISTINCT FROM OLD.flow_version_id
               OR (OLD.status = 'IDLE' AND NEW.status = 'RUNNING') THEN
                PERFORM public.guard_production_run_pin(NEW.id, NEW.flow_version_id);
            END IF;

            IF NEW.current_step_index <> OLD.current_step_index THEN
                IF NEW.status <> OLD.status THEN
                    RAISE EXCEPTION 'Run % cannot go from step % to % and from % to % at once: one after the other.',
                        OLD.id, OLD.current_step_index, NEW.current_step_index, OLD.status, NEW.status
                        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_step';
                END IF;
                PERFORM public.guard_production_run_step(
                    NEW.id, NEW.status, OLD.current_step_index, NEW.current_step_index);
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

            RETURN NEW;
        END;
        $$
    """)
