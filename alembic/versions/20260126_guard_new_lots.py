"""Guard what a lot is said to be.

    guard_lots_legacy_type  no new lot is of a legacy type (SKW, FRZ, FG); those that are there stay readable
    guard_lots_sku          a ...15 lot has SKU 15, a ...30 lot has SKU 30
    guard_lots_weight       a weight, where there is one, is a number above zero (numeric takes NaN, above all numbers)

SKU and weight are looked at in new lots and where they change: what is wrong in an older row hinders nobody.

Revision ID: 20260126_guard_new_lots
Revises: 20260126_lot_status_reason
"""

from alembic import op

revision = "20260126_guard_new_lots"
down_revision = "20260126_lot_status_reason"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What a lot's SKU has to be is asked of its type here, and of parents and children in their genealogy.
    op.execute("""
        CREATE FUNCTION sku_of_lot_type(type lot_type) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN CASE WHEN type IN ('SKW15', 'FRZ15', 'FG15') THEN '15' WHEN type IN ('SKW30', 'FRZ30', 'FG30') THEN '30'
               END
    """)
    op.execute("""
        CREATE FUNCTION guard_lot_values() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' AND NEW.lot_type IN ('SKW', 'FRZ', 'FG') THEN
                RAISE EXCEPTION 'Lot % cannot be of type %: it is a legacy type, say %15 or %30.',
                    NEW.id, NEW.lot_type, NEW.lot_type, NEW.lot_type
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_legacy_type';
            END IF;

            IF (TG_OP = 'INSERT' OR NEW.sku_type IS DISTINCT FROM OLD.sku_type)
               AND NEW.sku_type IS DISTINCT FROM coalesce(public.sku_of_lot_type(NEW.lot_type), NEW.sku_type) THEN
                RAISE EXCEPTION 'Lot % is of type % and cannot have SKU %: its SKU is %.',
                    NEW.id, NEW.lot_type, coalesce(NEW.sku_type, 'none'), public.sku_of_lot_type(NEW.lot_type)
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_sku';
            END IF;

            IF (TG_OP = 'INSERT' OR NEW.weight_kg IS DISTINCT FROM OLD.weight_kg)
               AND (NEW.weight_kg <= 0 OR NEW.weight_kg = 'NaN') THEN
                RAISE EXCEPTION 'Lot % cannot weigh % kg: a weight is a number above zero.', NEW.id, NEW.weight_kg
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_weight';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_insert_values
        BEFORE INSERT ON lots
        FOR EACH ROW EXECUTE FUNCTION guard_lot_values()
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_update_values
        BEFORE UPDATE ON lots
        FOR EACH ROW WHEN ((NEW.sku_type, NEW.weight_kg) IS DISTINCT FROM (OLD.sku_type, OLD.weight_kg))
        EXECUTE FUNCTION guard_lot_values()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_lots_update_values ON lots")
    op.execute("DROP TRIGGER trg_lots_insert_values ON lots")
    op.execute("DROP FUNCTION guard_lot_values()")
    op.execute("DROP FUNCTION sku_of_lot_type(lot_type)")
