"""Have a release tell its decision, look at both ends of a link, and guard lots with their owner's rights.

By hand, one UPDATE released a whole quarantine, a lot on HOLD lost its step and with it its hold on the run, material
went into lots that were closed, and two sessions put two SKUs onto one pallet. A lot without run, type or SKU was a
way round site, archive and SKU. Upserts of rows that exist were refused, and logins that may write lots alone.

Revision ID: 20261201_2_lots
Revises: 20261201_1_steps_of_runs
"""

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import lock_tables

revision = "20261201_2_lots"
down_revision = "20261201_1_steps_of_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_tables("lots", "lot_genealogy")
    drop_objects("guard_lot_genealogy@1")
    drop_objects("guard_lots@1")
    create_objects("is_of_this_transaction@1")
    create_objects("guard_lots@2")
    create_objects("guard_lot_genealogy@2")


def downgrade() -> None:
    drop_objects("guard_lot_genealogy@2")
    drop_objects("guard_lots@2")
    drop_objects("is_of_this_transaction@1")
    create_objects("guard_lots@1")
    create_objects("guard_lot_genealogy@1")
