"""Add suppliers, and tell 15 from 30: new lot types, sku_type, supplier_id.

SKW, FRZ and FG stay readable. On downgrade the exact types go back to them (SKW15 to SKW and so on) and are kept in
`metadata` under `runworker_downgrade`, so that a later upgrade knows again which was which. The type is made anew and
not added to, because a value that ALTER TYPE adds cannot be used in the same transaction.

Revision ID: 20260125_suppliers_lot_types
Revises: 20260124_flow_version_immutable
"""

from alembic import op

revision = "20260125_suppliers_lot_types"
down_revision = "20260124_flow_version_immutable"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE suppliers (
            id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_suppliers PRIMARY KEY,
            code varchar(50) NOT NULL CONSTRAINT uq_suppliers_code UNIQUE,
            name text NOT NULL,
            is_active boolean NOT NULL DEFAULT true,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("""
        ALTER TABLE lots
            ADD COLUMN sku_type varchar(10) CONSTRAINT ck_lots_sku_type CHECK (sku_type IN ('15','30')),
            ADD COLUMN supplier_id uuid CONSTRAINT fk_lots_supplier_id REFERENCES suppliers (id)
    """)
    op.execute("ALTER TYPE lot_type RENAME TO lot_type_before")
    op.execute("""
        CREATE TYPE lot_type AS ENUM ('RAW', 'DEB', 'BULK', 'MIX', 'SKW15', 'SKW30', 'FRZ15', 'FRZ30', 'FG15', 'FG30',
                                      'PAL', 'SHIP', 'SKW', 'FRZ', 'FG')
    """)
    op.execute("""
        ALTER TABLE lots ALTER COLUMN lot_type TYPE lot_type USING CASE
            WHEN metadata #>> '{runworker_downgrade,lot_type}' IN ('SKW15','SKW30','FRZ15','FRZ30','FG15','FG30')
            THEN metadata #>> '{runworker_downgrade,lot_type}'
            ELSE lot_type::text
        END::lot_type
    """)
    op.execute("DROP TYPE lot_type_before")
    op.execute("""
        UPDATE lots
        SET sku_type = metadata #>> '{runworker_downgrade,sku_type}', metadata = metadata - 'runworker_downgrade'
        WHERE metadata ? 'runworker_downgrade'
    """)
    op.execute("CREATE INDEX idx_lots_production_run ON lots (production_run_id)")
    op.execute("CREATE INDEX idx_lot_genealogy_parent ON lot_genealogy (parent_lot_id)")
    op.execute("CREATE INDEX idx_lot_genealogy_child ON lot_genealogy (child_lot_id)")
    op.execute("CREATE INDEX idx_qc_decisions_lot_id ON qc_decisions (lot_id)")


def downgrade() -> None:
    op.execute("DROP INDEX idx_qc_decisions_lot_id")
    op.execute("DROP INDEX idx_lot_genealogy_child")
    op.execute("DROP INDEX idx_lot_genealogy_parent")
    op.execute("DROP INDEX idx_lots_production_run")
    op.execute("""
        UPDATE lots
        SET metadata = jsonb_set(
            metadata,
            '{runworker_downgrade}',
            jsonb_strip_nulls(jsonb_build_object('lot_type', lot_type, 'sku_type', sku_type))
        )
        WHERE jsonb_typeof(metadata) = 'object'
          AND (sku_type IS NOT NULL OR lot_type IN ('SKW15','SKW30','FRZ15','FRZ30','FG15','FG30'))
    """)
    op.execute("ALTER TYPE lot_type RENAME TO lot_type_before")
    op.execute("CREATE TYPE lot_type AS ENUM ('RAW', 'DEB', 'BULK', 'MIX', 'SKW', 'FRZ', 'FG', 'PAL', 'SHIP')")
    op.execute(
        "ALTER TABLE lots ALTER COLUMN lot_type TYPE lot_type USING rtrim(lot_type::text, '0123456789')::lot_type"
    )
    op.execute("DROP TYPE lot_type_before")
    op.execute("ALTER TABLE lots DROP COLUMN supplier_id, DROP COLUMN sku_type")
    op.execute("DROP TABLE suppliers")
