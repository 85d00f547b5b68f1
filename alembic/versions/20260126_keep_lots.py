"""Keep what a lot was registered as.

    guard_lots_identity     id, lot_code, lot_type and production_run_id never change
    guard_lots_frozen       neither do step_index, weight_kg, sku_type and supplier_id of a lot that is CONSUMED,
                            FINISHED or REJECTED, or becomes so in the same UPDATE
    guard_lots_linked       step_index and sku_type stay once a parent or child is known: what may be made of what was
                            judged by them
    guard_lots_taken        the weight does not drop below what was taken from the lot
    guard_lots_delete       only a CREATED lot is deleted

The identity stays from the first moment on, and not only once the plant has registered the lot: codes are printed and
runs are locked by it. A CREATED lot that is wrong is deleted and made anew.

Revision ID: 20260126_keep_lots
Revises: 20260126_guard_new_lots
"""

from alembic import op

revision = "20260126_keep_lots"
down_revision = "20260126_guard_new_lots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plans are cached, and the first may be made while tables are empty: look-ups shall stay look-ups.
    op.execute("""
        CREATE FUNCTION guard_lot_core() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        DECLARE
            closed CONSTANT text[] := ARRAY['CONSUMED', 'FINISHED', 'REJECTED'];
            taken_kg numeric;
        BEGIN
            IF (NEW.id, NEW.lot_code, NEW.lot_type, NEW.production_run_id)
               IS DISTINCT FROM (OLD.id, OLD.lot_code, OLD.lot_type, OLD.production_run_id) THEN
                RAISE EXCEPTION 'Lot % (%): id, lot_code, lot_type and production_run_id never change.',
                    OLD.id, OLD.lot_code
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_identity';
            END IF;

            IF OLD.status = ANY (closed) OR NEW.status = ANY (closed) THEN
                RAISE EXCEPTION 'Lot % (%) is %: step_index, weight_kg, sku_type and supplier_id stay as they are.',
                    OLD.id, OLD.lot_code, NEW.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_frozen';
            END IF;

            IF (NEW.step_index, NEW.sku_type) IS DISTINCT FROM (OLD.step_index, OLD.sku_type) AND (
                EXISTS (SELECT FROM public.lot_genealogy WHERE parent_lot_id = OLD.id)
                OR EXISTS (SELECT FROM public.lot_genealogy WHERE child_lot_id = OLD.id)
            ) THEN
                RAISE EXCEPTION 'Lot % (%) has parents or children: its step_index and sku_type stay as they are.',
                    OLD.id, OLD.lot_code
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_linked';
            END IF;

            IF NEW.weight_kg IS DISTINCT FROM OLD.weight_kg THEN
                SELECT sum(quantity_used_kg) INTO taken_kg FROM public.lot_genealogy WHERE parent_lot_id = OLD.id;
                IF taken_kg > coalesce(NEW.weight_kg, 0) THEN
                    RAISE EXCEPTION 'Lot % (%) cannot weigh % kg: % kg have been taken from it.',
                        OLD.id, OLD.lot_code, coalesce(NEW.weight_kg::text, 'unknown'), taken_kg
                        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_taken';
                END IF;
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_update_core
        BEFORE UPDATE ON lots
        FOR EACH ROW WHEN (
            (NEW.id, NEW.lot_code, NEW.lot_type, NEW.production_run_id,
             NEW.step_index, NEW.weight_kg, NEW.sku_type, NEW.supplier_id)
            IS DISTINCT FROM
            (OLD.id, OLD.lot_code, OLD.lot_type, OLD.production_run_id,
             OLD.step_index, OLD.weight_kg, OLD.sku_type, OLD.supplier_id)
        )
        EXECUTE FUNCTION guard_lot_core()
    """)
    op.execute("""
        CREATE FUNCTION guard_lot_delete() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RAISE EXCEPTION 'Lot % (%) is % and cannot be deleted: only a CREATED lot can.',
                OLD.id, OLD.lot_code, OLD.status
                USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_delete';
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_delete
        BEFORE DELETE ON lots
        FOR EACH ROW WHEN (OLD.status <> 'CREATED') EXECUTE FUNCTION guard_lot_delete()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_lots_delete ON lots")
    op.execute("DROP FUNCTION guard_lot_delete()")
    op.execute("DROP TRIGGER trg_lots_update_core ON lots")
    op.execute("DROP FUNCTION guard_lot_core()")
