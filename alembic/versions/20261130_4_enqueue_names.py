"""Have enqueue_command refuse a key among the fields, and the name of a task.

The row's own key took the place of the former without a word: a command that was queued twice took effect twice.

Revision ID: 20261130_4_enqueue_names
Revises: 20261130_3_claims
"""

import sqlalchemy as sa
from alembic import op

from runworker.migrations import create_objects, drop_objects

revision = "20261130_4_enqueue_names"
down_revision = "20261130_3_claims"
branch_labels = None
depends_on = None

ROLE = "runworker_sender"


def upgrade() -> None:
    drop_objects("enqueue_command@1")
    create_objects("enqueue_command@2")
    _grant()


def downgrade() -> None:
    drop_objects("enqueue_command@2")
    create_objects("enqueue_command@1")
    _grant()


def _grant() -> None:
    if op.get_bind().scalar(sa.text(f"SELECT to_regrole('{ROLE}') IS NOT NULL")):
        op.execute(f"GRANT EXECUTE ON FUNCTION enqueue_command(text, jsonb, uuid) TO {ROLE}")
