"""Guard the end of a lot: it is used up by children, and finished after them.

    guard_lots_consumed             a lot is CONSUMED by a child that its genealogy names
    guard_lots_unfinished_children  a CONSUMED lot is FINISHED once every child is FINISHED or REJECTED

One statement may finish a whole run. Its rows come in any order, so children are looked at after the statement, when
they are as it leaves them.

Revision ID: 20260126_guard_lot_ends
Revises: 20260126_lot_genealogy
"""

from alembic import op

revision = "20260126_guard_lot_ends"
down_revision = "20260126_lot_genealogy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plans are cached, and the first may be made while tables are empty: look-ups shall stay look-ups.
    op.execute("""
        CREATE FUNCTION guard_lot_end() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        DECLARE
            open_child record;
        BEGIN
            IF NEW.status = 'CONSUMED' THEN
                IF NOT EXISTS (SELECT FROM public.lot_genealogy WHERE parent_lot_id = NEW.id) THEN
                    RAISE EXCEPTION 'Lot % (%) cannot be CONSUMED: no lot was made of it.', NEW.id, NEW.lot_code
                        USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_consumed';
                END IF;
                RETURN NEW;
            END IF;

            SELECT lot.id, lot.lot_code, lot.status INTO open_child
            FROM public.lot_genealogy AS link JOIN public.lots AS lot ON lot.id = link.child_lot_id
            WHERE link.parent_lot_id = NEW.id AND lot.status NOT IN ('FINISHED', 'REJECTED')
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'Lot % (%) cannot be FINISHED before its child % (%), which is %.',
                    NEW.id, NEW.lot_code, open_child.id, open_child.lot_code, open_child.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_unfinished_children';
            END IF;
            RETURN NULL;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_update_consumed
        BEFORE UPDATE ON lots
        FOR EACH ROW WHEN (NEW.status = 'CONSUMED' AND OLD.status <> 'CONSUMED') EXECUTE FUNCTION guard_lot_end()
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_updated_finished
        AFTER UPDATE ON lots
        FOR EACH ROW WHEN (NEW.status = 'FINISHED' AND OLD.status = 'CONSUMED') EXECUTE FUNCTION guard_lot_end()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_lots_updated_finished ON lots")
    op.execute("DROP TRIGGER trg_lots_update_consumed ON lots")
    op.execute("DROP FUNCTION guard_lot_end()")
