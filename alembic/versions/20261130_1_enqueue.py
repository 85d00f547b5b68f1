"""Let upstreams queue commands by a function, wake workers when they did, and bound what a payload may hold.

`runworker_sender` is a group without a login: a deployment grants it to the logins of systems that queue commands. It
may call enqueue_command and touch no table. What was said of the workers' role holds for it, too: it belongs to the
whole cluster, another database may have made it before, and where the migrating user may not create roles, the SQL for
an administrator is written to stderr and the migration goes on.

Revision ID: 20261130_1_enqueue
Revises: 20261129_9_roles
"""

import sys

import sqlalchemy as sa
from alembic import op

from runworker.migrations import create_objects, drop_objects
from runworker.online_changes import lock_tables

revision = "20261130_1_enqueue"
down_revision = "20261129_9_roles"
branch_labels = None
depends_on = None

ROLE = "runworker_sender"
ENQUEUE = "enqueue_command(text, jsonb, uuid)"
CREATE = f"CREATE ROLE {ROLE} NOLOGIN"
GRANTS = (
    f"GRANT USAGE ON SCHEMA public TO {ROLE}",
    f"GRANT EXECUTE ON FUNCTION {ENQUEUE} TO {ROLE}",
)


def upgrade() -> None:
    lock_tables("commands")
    drop_objects("guard_commands@1")
    create_objects("guard_commands@2")
    create_objects("notify_queued@1")
    create_objects("enqueue_command@1")
    if not _role_exists() and not _create_role():
        _tell_administrator()
        return
    for grant in GRANTS:
        op.execute(grant)


def downgrade() -> None:
    drop_objects("enqueue_command@1")
    drop_objects("notify_queued@1")
    drop_objects("guard_commands@2")
    create_objects("guard_commands@1")
    if _role_exists():
        op.execute(f"REVOKE USAGE ON SCHEMA public FROM {ROLE}")
        # One statement, for another database may be doing the same.
        op.execute(f"""
            DO $$
            BEGIN
                IF NOT EXISTS (
                    SELECT FROM pg_auth_members WHERE roleid = '{ROLE}'::regrole AND member <> current_user::regrole
                ) THEN
                    DROP ROLE {ROLE};
                END IF;
            EXCEPTION
                WHEN insufficient_privilege OR dependent_objects_still_exist OR undefined_object THEN NULL;
            END;
            $$
        """)


def _role_exists() -> bool:
    return bool(op.get_bind().scalar(sa.text(f"SELECT to_regrole('{ROLE}') IS NOT NULL")))


def _create_role() -> bool:
    """Create the role, or find that another database just did. False where the user may not."""
    may_create = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    if not op.get_bind().scalar(sa.text(may_create)):
        return False
    op.execute(f"""
        DO $$
        BEGIN
            {CREATE};
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        $$
    """)
    return True


def _tell_administrator() -> None:
    statements = "".join(f"    {statement};\n" for statement in (CREATE, *GRANTS))
    sys.stderr.write(
        f"runworker: this user may not create roles, so {ROLE} is missing. Ask an administrator to run, in this"
        f" database:\n{statements}"
        f"and then to GRANT {ROLE} to the logins that queue commands.\n"
    )
