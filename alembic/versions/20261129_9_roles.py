"""Give the worker a role that writes its tables and owns nothing.

`runworker_worker` is a group without a login; a deployment grants it to the login its workers use. Whoever owns nothing
can neither drop, truncate nor disable what guards the tables. It changes runs, steps, lots and its own tables; adds
flow versions, genealogy, quality decisions and seals, and changes of a flow version the state and who reviewed and
published it; deletes nothing, but may have the ledger forget (prune_commands); and reads the rest. People, suppliers,
flows and scenarios are the owner's to write, audit events only the triggers'.

Roles belong to the whole cluster, so another database may have made it before, and the downgrade drops it only when
nobody is a member and no other database grants it anything. Where the migrating user may not create roles, the SQL for
an administrator is written to stderr and the migration goes on.

Revision ID: 20261129_9_roles
Revises: 20261129_8_growth
"""

import sys

import sqlalchemy as sa
from alembic import op

revision = "20261129_9_roles"
down_revision = "20261129_8_growth"
branch_labels = None
depends_on = None

ROLE = "runworker_worker"
READ = "alembic_version, audit_events, flow_definitions, phases, qc_gates, scenarios, streams, suppliers, users"
ADD = "audit_seals, flow_versions, lot_genealogy, qc_decisions"
ADD_AND_CHANGE = "code_counters, commands, dead_letters, lots, production_runs, run_step_executions"
OF_A_VERSION = "status, reviewed_by, published_by, published_at, command_key"
PRUNE = "prune_commands(interval, integer)"
CREATE = f"CREATE ROLE {ROLE} NOLOGIN"
GRANTS = (
    f"GRANT USAGE ON SCHEMA public TO {ROLE}",
    f"GRANT SELECT ON {READ}, {ADD}, {ADD_AND_CHANGE} TO {ROLE}",
    f"GRANT INSERT ON {ADD}, {ADD_AND_CHANGE} TO {ROLE}",
    f"GRANT UPDATE ON {ADD_AND_CHANGE} TO {ROLE}",
    f"GRANT UPDATE ({OF_A_VERSION}) ON flow_versions TO {ROLE}",
    f"GRANT EXECUTE ON FUNCTION {PRUNE} TO {ROLE}",
)


def upgrade() -> None:
    if not _role_exists() and not _create_role():
        _tell_administrator()
        return
    for grant in GRANTS:
        op.execute(grant)


def downgrade() -> None:
    if not _role_exists():
        return
    op.execute(f"REVOKE EXECUTE ON FUNCTION {PRUNE} FROM {ROLE}")
    op.execute(f"REVOKE ALL ON {READ}, {ADD}, {ADD_AND_CHANGE} FROM {ROLE}")
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
        f"and then to GRANT {ROLE} to the login that the workers use.\n"
    )
