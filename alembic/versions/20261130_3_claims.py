"""Let workers claim commands that the ledger has, so that one that ends its processes can be told from its neighbours.

The table is not logged: it is empty after a crash of the server and on a replica that is promoted, where nobody has
anything in hand. What a dump brings of it lapses by itself.

Revision ID: 20261130_3_claims
Revises: 20261130_2_dead_letters
"""

from alembic import op

from runworker.migrations import grant

revision = "20261130_3_claims"
down_revision = "20261130_2_dead_letters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE UNLOGGED TABLE command_claims (
            idempotency_key uuid NOT NULL,
            claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            is_alone boolean NOT NULL DEFAULT false,
            deaths integer NOT NULL DEFAULT 0,
            CONSTRAINT pk_command_claims PRIMARY KEY (idempotency_key)
        )
    """)
    grant("runworker_worker", "SELECT, INSERT, UPDATE, DELETE ON command_claims")


def downgrade() -> None:
    op.execute("DROP TABLE command_claims")
