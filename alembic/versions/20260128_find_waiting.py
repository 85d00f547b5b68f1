"""Find commands that wait for something by what they wait for, however few there are.

`idx_commands_expires_at` held WAITING commands under the same condition as the GIN index on `wakes_on`. Where few
waited, PostgreSQL looked for those that a change wakes by reading all of it, and a worker keeps such a plan. The index
says the same in other words now (ck_commands_waiting: what waits has a time, nothing else has), and serves nothing
but the time.

Revision ID: 20260128_find_waiting
Revises: 20260127_finished_runs
"""

from alembic import op

revision = "20260128_find_waiting"
down_revision = "20260127_finished_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX idx_commands_expires_at")
    op.execute("CREATE INDEX idx_commands_expires_at ON commands (expires_at) WHERE expires_at IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX idx_commands_expires_at")
    op.execute("CREATE INDEX idx_commands_expires_at ON commands (expires_at) WHERE status = 'WAITING'")
