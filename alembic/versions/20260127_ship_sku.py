"""Let pallets and shipments take another SKU with what they take in.

Both inherit their SKU. A shipment of 15 that takes a pallet of 30 holds both and is of neither; a pallet of meat
without a SKU is of the first one that it takes in. `guard_lots_linked` refused that, so that a shipment could be
registered with both SKUs and not be given the second one later. From now on, while the lot is open,

    a SHIP lot may lose its SKU,
    a PAL lot without one may get that of its parents (guard_lots_linked refuses another),

and neither may change in the same UPDATE in any other way. What a lot of a SKU may be made of stays as it is.

Revision ID: 20260127_ship_sku
Revises: 20260127_prune_commands
"""

from alembic import op

revision = "20260127_ship_sku"
down_revision = "20260127_prune_commands"
branch_labels = None
depends_on = None

CORE = """
    (NEW.id, NEW.lot_code, NEW.lot_type, NEW.production_run_id, NEW.step_index, NEW.weight_kg, NEW.supplier_id{new})
    IS DISTINCT FROM
    (OLD.id, OLD.lot_code, OLD.lot_type, OLD.production_run_id, OLD.step_index, OLD.weight_kg, OLD.supplier_id{old})
"""
WITH_SKU = CORE.format(new=", NEW.sku_type", old=", OLD.sku_type")
# IS TRUE: the type of an older lot may be unknown.
INHERITS = f"""
    (NOT ({CORE.format(new="", old="")})
     AND NEW.status = OLD.status AND OLD.status NOT IN ('CONSUMED', 'FINISHED', 'REJECTED')
     AND (OLD.lot_type = 'SHIP' AND NEW.sku_type IS NULL OR OLD.lot_type = 'PAL' AND OLD.sku_type IS NULL)) IS TRUE
"""


def upgrade() -> None:
    _guard_core(f"({WITH_SKU}) AND NOT ({INHERITS})")
    # Plans are cached, and the first may be made while tables are empty: look-ups shall stay look-ups.
    op.execute("""
        CREATE FUNCTION guard_lot_pallet_sku() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        DECLARE
            other record;
        BEGIN
            SELECT lot.id, coalesce(lot.sku_type, public.sku_of_lot_type(lot.lot_type)) AS sku INTO other
            FROM public.lot_genealogy AS link JOIN public.lots AS lot ON lot.id = link.parent_lot_id
            WHERE link.child_lot_id = NEW.id
              AND coalesce(lot.sku_type, public.sku_of_lot_type(lot.lot_type)) <> NEW.sku_type
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'Pallet % (%) cannot have SKU %: its parent % has SKU %.',
                    NEW.id, NEW.lot_code, NEW.sku_type, other.id, other.sku
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_lots_linked';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_lots_update_pallet_sku
        BEFORE UPDATE ON lots
        FOR EACH ROW WHEN (OLD.lot_type = 'PAL' AND OLD.sku_type IS NULL AND NEW.sku_type IS NOT NULL)
        EXECUTE FUNCTION guard_lot_pallet_sku()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_lots_update_pallet_sku ON lots")
    op.execute("DROP FUNCTION guard_lot_pallet_sku()")
    _guard_core(WITH_SKU)


def _guard_core(when: str) -> None:
    op.execute("DROP TRIGGER trg_lots_update_core ON lots")
    op.execute(f"""
        CREATE TRIGGER trg_lots_update_core
        BEFORE UPDATE ON lots
        FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION guard_lot_core()
    """)
