"""Let dead letters be discarded, and write down who replayed or discarded one, and why.

Nothing is erased: a discarded letter is marked, and stays. Whoever marks a letter, and whoever deletes one by hand,
leaves an audit event; that a letter came, or came again, leaves none, as a sender could fill the trail with that. The
worker keeps its right to count a letter up and loses that to mark it.

Revision ID: 20261130_2_dead_letters
Revises: 20261130_1_enqueue
"""

import sys

import sqlalchemy as sa
from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import lock_tables

revision = "20261130_2_dead_letters"
down_revision = "20261130_1_enqueue"
branch_labels = None
depends_on = None

ROLE = "runworker_worker"
COUNTED_UP = "times, code, error, last_seen_at"
NARROWED = (
    f"REVOKE UPDATE ON dead_letters FROM {ROLE}",
    f"GRANT UPDATE ({COUNTED_UP}) ON dead_letters TO {ROLE}",
)


def upgrade() -> None:
    lock_tables("dead_letters")
    op.execute("""
        ALTER TABLE dead_letters
            ADD COLUMN replay_reason text,
            ADD COLUMN discarded_at timestamptz,
            ADD COLUMN discarded_by uuid,
            ADD COLUMN discard_reason text,
            ADD CONSTRAINT ck_dead_letters_discarded CHECK (
                num_nonnulls(discarded_at, discarded_by, discard_reason) IN (0, 3)),
            ADD CONSTRAINT ck_dead_letters_reasons CHECK (
                coalesce(char_length(btrim(replay_reason)), 10) BETWEEN 10 AND 500
                AND coalesce(char_length(btrim(discard_reason)), 10) BETWEEN 10 AND 500)
    """)
    drop_objects("guard_dead_letters@1")
    create_objects("guard_dead_letters@2")
    create_objects("audit_dead_letters@1")
    if _role_exists():
        for statement in NARROWED:
            op.execute(statement)
    else:
        _tell_administrator()


def downgrade() -> None:
    if _role_exists():
        op.execute(f"REVOKE UPDATE ({COUNTED_UP}) ON dead_letters FROM {ROLE}")
        op.execute(f"GRANT UPDATE ON dead_letters TO {ROLE}")
    drop_objects("audit_dead_letters@1")
    drop_objects("guard_dead_letters@2")
    create_objects("guard_dead_letters@1")
    op.execute("""
        ALTER TABLE dead_letters
            DROP CONSTRAINT ck_dead_letters_reasons, DROP CONSTRAINT ck_dead_letters_discarded,
            DROP COLUMN discard_reason, DROP COLUMN discarded_by, DROP COLUMN discarded_at, DROP COLUMN replay_reason
    """)


def _role_exists() -> bool:
    return bool(op.get_bind().scalar(sa.text(f"SELECT to_regrole('{ROLE}') IS NOT NULL")))


def _tell_administrator() -> None:
    statements = "".join(f"    {statement};\n" for statement in NARROWED)
    sys.stderr.write(
        f"runworker: once {ROLE} is there and has its rights, take away what it needs no more:\n{statements}"
    )
