"""Have enqueue_command refuse a key among the fields, and the name of a task.

The row's own key took the place of the former without a word: a command that was queued twice took effect twice.

Revision ID: 20261130_4_enqueue_names
Revises: 20261130_3_claims
"""

from runworker.migrations import create_objects, drop_objects, grant

revision = "20261130_4_enqueue_names"
down_revision = "20261130_3_claims"
branch_labels = None
depends_on = None

CALL = "EXECUTE ON FUNCTION enqueue_command(text, jsonb, uuid)"


def upgrade() -> None:
    drop_objects("enqueue_command@1")
    create_objects("enqueue_command@2")
    grant("runworker_sender", CALL)


def downgrade() -> None:
    drop_objects("enqueue_command@2")
    create_objects("enqueue_command@1")
    grant("runworker_sender", CALL)
