"""Add suppliers, tell 15 from 30 (lot types, sku_type), say why a lot is as it is, guard and audit lots.

SKW, FRZ and FG stay readable. On downgrade the exact types go back to them (SKW15 to SKW and so on) and are kept in
`metadata` under `runworker_downgrade`, so that a later upgrade knows again which was which. The new types are added to
the enum, each beside the legacy one that it belongs to; the downgrade, which cannot take a value away, makes the enum
anew and rewrites the table.

`lots.status_reason` holds the notes of the last quality decision, the resolution of a hold or the reason of a
rejection: up to 500 characters, and before them the sentence that a critical control point adds. A downgrade drops the
column; the same words stay in `qc_decisions` and in the audit events.

Revision ID: 20261129_5_lots
Revises: 20261129_4_runs_and_steps
"""

from itertools import pairwise

from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import backfill, change_table, create_index, lock_tables, validate

revision = "20261129_5_lots"
down_revision = "20261129_4_runs_and_steps"
branch_labels = None
depends_on = None

LOT_TYPES = (
    "RAW", "DEB", "BULK", "MIX", "SKW", "SKW15", "SKW30", "FRZ", "FRZ15", "FRZ30", "FG", "FG15", "FG30", "PAL", "SHIP"
)  # fmt: skip


def upgrade() -> None:
    change_table(
        "lots",
        """
        CREATE TABLE suppliers (
            id uuid DEFAULT gen_random_uuid() CONSTRAINT pk_suppliers PRIMARY KEY,
            code varchar(50) NOT NULL CONSTRAINT uq_suppliers_code UNIQUE,
            name text NOT NULL,
            is_active boolean NOT NULL DEFAULT true,
            created_at timestamptz NOT NULL DEFAULT now()
        );
        ALTER TABLE lots
            ADD COLUMN sku_type varchar(10),
            ADD COLUMN supplier_id uuid CONSTRAINT fk_lots_supplier_id REFERENCES suppliers (id),
            ADD COLUMN command_key uuid,
            ADD COLUMN status_reason text,
            ADD CONSTRAINT ck_lots_sku_type CHECK (sku_type IN ('15','30')) NOT VALID,
            ADD CONSTRAINT ck_lots_status_reason CHECK (char_length(status_reason) <= 700) NOT VALID
        """,
        unless="ck_lots_sku_type",
    )
    _add_types()
    _restore_what_a_downgrade_kept()
    validate("lots", "ck_lots_sku_type", "ck_lots_status_reason")
    create_index("idx_lots_production_run", "lots (production_run_id)")

    lock_tables("lots")
    create_objects("sku_of_lot_type@1")
    create_objects("guard_lots@1")
    create_objects("audit_lots@1")


def downgrade() -> None:
    drop_objects("audit_lots@1")
    drop_objects("guard_lots@1")
    drop_objects("sku_of_lot_type@1")
    op.execute("DROP INDEX idx_lots_production_run")
    _to_old_types()
    op.execute("""
        ALTER TABLE lots
            DROP COLUMN status_reason, DROP COLUMN command_key, DROP COLUMN supplier_id, DROP COLUMN sku_type
    """)
    op.execute("DROP TABLE suppliers")


def _add_types() -> None:
    # A value that was added can be used once that is committed.
    with op.get_context().autocommit_block():
        for before, added in pairwise(LOT_TYPES):
            op.execute(f"ALTER TYPE lot_type ADD VALUE IF NOT EXISTS '{added}' AFTER '{before}'")


def _restore_what_a_downgrade_kept() -> None:
    backfill(
        "lots",
        """
        lot_type = CASE
            WHEN metadata #>> '{runworker_downgrade,lot_type}' IN ('SKW15','SKW30','FRZ15','FRZ30','FG15','FG30')
            THEN (metadata #>> '{runworker_downgrade,lot_type}')::lot_type
            ELSE lot_type
        END,
        sku_type = metadata #>> '{runworker_downgrade,sku_type}',
        metadata = metadata - 'runworker_downgrade'
        """,
        where="metadata ? 'runworker_downgrade' AND jsonb_typeof(metadata) = 'object'",
    )


def _to_old_types() -> None:
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
