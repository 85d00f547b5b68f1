"""Let no run leave its lots behind.

    guard_production_runs_quality       a run does not advance or complete while a lot of its step is on HOLD
    guard_production_runs_live_lots     a run does not go back behind a lot that is not REJECTED

Which other lots quality control has to be done with depends on the gates of the plan, which the worker reads. A lot
that goes on HOLD locks its run: either the run sees the HOLD, or it had moved on before.

Revision ID: 20260126_guard_lots_of_runs
Revises: 20260126_keep_qc_decisions
"""

from alembic import op

revision = "20260126_guard_lots_of_runs"
down_revision = "20260126_keep_qc_decisions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plans are cached, and the first may be made while tables are empty: look-ups shall stay look-ups.
    op.execute("""
        CREATE FUNCTION guard_production_run_lots() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        BEGIN
            IF NEW.current_step_index < OLD.current_step_index THEN
                IF EXISTS (
                    SELECT FROM public.lots
                    WHERE production_run_id = OLD.id AND step_index > NEW.current_step_index AND status <> 'REJECTED'
                ) THEN
                    RAISE EXCEPTION 'Run % cannot go back to step %: live lots belong to later steps.',
                        OLD.id, NEW.current_step_index
                        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_live_lots';
                END IF;
            ELSIF EXISTS (
                SELECT FROM public.lots
                WHERE production_run_id = OLD.id AND step_index = OLD.current_step_index AND status = 'HOLD'
            ) THEN
                RAISE EXCEPTION 'Run % cannot leave step %: a lot of this step is on HOLD.',
                    OLD.id, OLD.current_step_index
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_production_runs_quality';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_production_runs_lots
        BEFORE UPDATE ON production_runs
        FOR EACH ROW WHEN (
            NEW.current_step_index <> OLD.current_step_index OR (NEW.status = 'COMPLETED' AND OLD.status = 'RUNNING')
        )
        EXECUTE FUNCTION guard_production_run_lots()
    """)
    op.execute("""
        CREATE FUNCTION lock_run_of_lot() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM FROM public.production_runs WHERE id = NEW.production_run_id FOR SHARE;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_update_hold
        BEFORE UPDATE ON lots
        FOR EACH ROW WHEN (NEW.status = 'HOLD' AND OLD.status <> 'HOLD') EXECUTE FUNCTION lock_run_of_lot()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_lots_update_hold ON lots")
    op.execute("DROP FUNCTION lock_run_of_lot()")
    op.execute("DROP TRIGGER trg_production_runs_lots ON production_runs")
    op.execute("DROP FUNCTION guard_production_run_lots()")
