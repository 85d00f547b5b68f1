"""Guard the life of a lot.

    guard_lots_insert   a lot begins CREATED or QUARANTINE
    guard_lots_move     legal moves only; RELEASED to FINISHED is for SHIP lots, which have no child

Revision ID: 20260125_guard_lots
Revises: 20260125_guard_run_steps
"""

from alembic import op

revision = "20260125_guard_lots"
down_revision = "20260125_guard_run_steps"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The type before the change counts: a lot does not become a shipment in order to be finished.
    op.execute("""
        CREATE FUNCTION guard_lot() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                RAISE EXCEPTION 'Lot % cannot begin %: a lot begins CREATED or QUARANTINE.', NEW.id, NEW.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_insert';
            END IF;

            IF NOT (CASE OLD.status
                WHEN 'CREATED' THEN NEW.status = 'QUARANTINE'
                WHEN 'QUARANTINE' THEN NEW.status IN ('RELEASED', 'HOLD', 'REJECTED')
                WHEN 'RELEASED' THEN NEW.status IN ('HOLD', 'CONSUMED')
                                     OR (NEW.status = 'FINISHED' AND OLD.lot_type IS NOT DISTINCT FROM 'SHIP')
                WHEN 'HOLD' THEN NEW.status IN ('RELEASED', 'REJECTED')
                WHEN 'CONSUMED' THEN NEW.status = 'FINISHED'
                ELSE false
            END) THEN
                RAISE EXCEPTION 'Lot % (%) cannot go from % to %.', OLD.id, OLD.lot_type, OLD.status, NEW.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_move';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_insert
        BEFORE INSERT ON lots
        FOR EACH ROW WHEN (NEW.status NOT IN ('CREATED', 'QUARANTINE')) EXECUTE FUNCTION guard_lot()
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_update
        BEFORE UPDATE ON lots
        FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION guard_lot()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_lots_update ON lots")
    op.execute("DROP TRIGGER trg_lots_insert ON lots")
    op.execute("DROP FUNCTION guard_lot()")
