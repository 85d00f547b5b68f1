"""Add step_index and status to lots, and give every lot that exists a status.

What an existing lot is, is read from what was written about it, in this order:

    1. last quality decision FAIL                    REJECTED
    2. last quality decision HOLD                    HOLD
    3. its run is COMPLETED                          FINISHED, as complete_run does for all lots of a run
    4. child lots took all of it (or no amount
       was noted, so nothing says that some is left) CONSUMED
    5. last quality decision PASS                    RELEASED
    6. none of these                                 QUARANTINE

No lot becomes usable without a PASS on record: QUARANTINE is the state that quality control can act on, while the
column's default CREATED means "not registered yet" and would leave an old lot without any legal move. Lots that were
taken down from a newer revision get back the status and step they had, which the downgrade keeps in `metadata` under
`runworker_downgrade`.

Revision ID: 20260124_lot_step_index_status
Revises: 20260124_add_flow_definitions
"""

from alembic import op
from sqlalchemy.schema import conv

from runworker.online_changes import backfill, change_table, create_index, set_not_null, validate

revision = "20260124_lot_step_index_status"
down_revision = "20260124_add_flow_definitions"
branch_labels = None
depends_on = None

# Names of CHECKs go through conv: they are whole, and the naming convention must not put its prefix on again.
STEP_INDEX_CHECK = conv("ck_lots_step_index_range")
STATUS_CHECK = conv("ck_lots_status")


def upgrade() -> None:
    # The default comes after the column: lots that are there have none, by which those to be looked at are known.
    change_table(
        "lots",
        f"""
        ALTER TABLE lots
            ADD COLUMN step_index integer,
            ADD COLUMN status varchar(20),
            ALTER COLUMN status SET DEFAULT 'CREATED',
            ADD CONSTRAINT {STEP_INDEX_CHECK}
                CHECK (step_index IS NULL OR (step_index >= 0 AND step_index <= 10)) NOT VALID,
            ADD CONSTRAINT {STATUS_CHECK}
                CHECK (status IN ('CREATED','QUARANTINE','RELEASED','HOLD','REJECTED','CONSUMED','FINISHED')) NOT VALID
        """,
        unless=STATUS_CHECK,
    )
    _restore_what_a_downgrade_kept()
    _derive_status_from_records()
    validate("lots", STEP_INDEX_CHECK, STATUS_CHECK)
    # The CHECK alone lets NULL through.
    set_not_null("lots", "status")
    create_index("idx_lots_step_index", "lots (step_index)")
    create_index("idx_lots_status", "lots (status)")


def downgrade() -> None:
    op.execute("""
        UPDATE lots
        SET metadata = jsonb_set(
            metadata,
            '{runworker_downgrade}',
            coalesce(metadata -> 'runworker_downgrade', '{}')
                || jsonb_strip_nulls(jsonb_build_object('status', status, 'step_index', step_index))
        )
        WHERE jsonb_typeof(metadata) = 'object'
    """)
    op.drop_index("idx_lots_status", "lots")
    op.drop_index("idx_lots_step_index", "lots")
    op.drop_constraint(STATUS_CHECK, "lots", type_="check")
    op.drop_column("lots", "status")
    op.drop_constraint(STEP_INDEX_CHECK, "lots", type_="check")
    op.drop_column("lots", "step_index")


def _restore_what_a_downgrade_kept() -> None:
    backfill(
        "lots",
        """
        status = metadata #>> '{runworker_downgrade,status}',
        step_index = (metadata #>> '{runworker_downgrade,step_index}')::integer,
        metadata = CASE
            WHEN (metadata -> 'runworker_downgrade') - 'status' - 'step_index' = '{}'
            THEN metadata - 'runworker_downgrade'
            ELSE metadata #- '{runworker_downgrade,status}' #- '{runworker_downgrade,step_index}'
        END
        """,
        where="metadata #>> '{runworker_downgrade,status}' IS NOT NULL",
    )


def _derive_status_from_records() -> None:
    backfill(
        "lots",
        "status = found.derived",
        where="lots.status IS NULL",
        found="""
        WITH last_decision AS (
            SELECT DISTINCT ON (lot_id) lot_id, decision
            FROM qc_decisions
            ORDER BY lot_id, decided_at DESC, id
        ), taken AS (
            SELECT parent_lot_id AS lot_id,
                   sum(quantity_used_kg) AS quantity_kg,
                   bool_or(quantity_used_kg IS NULL) AS amount_unknown
            FROM lot_genealogy
            GROUP BY parent_lot_id
        )
        SELECT lot.id, CASE
            WHEN last_decision.decision = 'FAIL' THEN 'REJECTED'
            WHEN last_decision.decision = 'HOLD' THEN 'HOLD'
            WHEN run.status = 'COMPLETED' THEN 'FINISHED'
            WHEN taken.amount_unknown OR (taken.lot_id IS NOT NULL AND lot.weight_kg IS NULL)
                 OR taken.quantity_kg >= lot.weight_kg THEN 'CONSUMED'
            WHEN last_decision.decision = 'PASS' THEN 'RELEASED'
            ELSE 'QUARANTINE'
        END AS derived
        FROM lots AS lot
        LEFT JOIN last_decision ON last_decision.lot_id = lot.id
        LEFT JOIN taken ON taken.lot_id = lot.id
        LEFT JOIN production_runs AS run ON run.id = lot.production_run_id
        WHERE lot.status IS NULL
        """,
    )
