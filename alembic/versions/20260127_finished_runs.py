"""Add nothing to a run that is finished.

    guard_lots_finished_run         no new lot belongs to a run that is COMPLETED, ABORTED or ARCHIVED
    guard_lot_genealogy_finished    no lot of such a run is given another parent

What a run made, and of what, is its batch record; once the run is over, that stands. Its lots live on: quality control
stops what has left the line, and what is in stock goes into the lots of other runs. The run is locked, so that it does
not end at the same moment; before any lot, as the worker does.

Revision ID: 20260127_finished_runs
Revises: 20260127_ship_sku
"""

from alembic import op

revision = "20260127_finished_runs"
down_revision = "20260127_ship_sku"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION guard_lot_of_finished_run() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            run record;
        BEGIN
            SELECT run_code, status INTO run
            FROM public.production_runs WHERE id = NEW.production_run_id FOR SHARE;
            IF run.status IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN
                RAISE EXCEPTION 'Lot % (%) cannot be added to run %, which is %.',
                    NEW.id, NEW.lot_code, run.run_code, run.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_finished_run';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_insert_finished_run
        BEFORE INSERT ON lots
        FOR EACH ROW WHEN (NEW.production_run_id IS NOT NULL) EXECUTE FUNCTION guard_lot_of_finished_run()
    """)
    # Plans are cached, and the first may be made while tables are empty: look-ups shall stay look-ups.
    op.execute("""
        CREATE FUNCTION guard_lot_link_finished() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        DECLARE
            run record;
        BEGIN
            SELECT run_code, status INTO run
            FROM public.production_runs
            WHERE id = (SELECT production_run_id FROM public.lots WHERE id = NEW.child_lot_id) FOR SHARE;
            IF run.status IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN
                RAISE EXCEPTION 'Lot % of run %, which is %, cannot be made of lot % as well.',
                    NEW.child_lot_id, run.run_code, run.status, NEW.parent_lot_id
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lot_genealogy_finished';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    # Triggers go by name: this one is before trg_lot_genealogy_insert, which locks lots.
    op.execute("""
        CREATE TRIGGER trg_lot_genealogy_finished
        BEFORE INSERT ON lot_genealogy
        FOR EACH ROW EXECUTE FUNCTION guard_lot_link_finished()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_lot_genealogy_finished ON lot_genealogy")
    op.execute("DROP FUNCTION guard_lot_link_finished()")
    op.execute("DROP TRIGGER trg_lots_insert_finished_run ON lots")
    op.execute("DROP FUNCTION guard_lot_of_finished_run()")
