"""Let the ledger forget what was decided long ago, and nothing else.

`prune_commands(older_than, most)` deletes up to `most` commands, those decided longest ago first, and returns how many
it deleted. It runs with its owner's rights, for the worker has none to delete, and keeps by itself:

    guard_commands_kept     nothing is forgotten within 24 hours of its decision

and whatever is not decided, and every command of a run that is not ARCHIVED: until then the ledger is part of the run's
record. Rows that somebody else works on are left out, so that several workers may prune at once.

Where the role does not exist, the SQL for an administrator is written to stderr and the migration goes on.

Revision ID: 20260127_prune_commands
Revises: 20260127_index_growth
"""

import sys

import sqlalchemy as sa
from alembic import op

revision = "20260127_prune_commands"
down_revision = "20260127_index_growth"
branch_labels = None
depends_on = None

ROLE = "runworker_worker"
GRANT = f"GRANT EXECUTE ON FUNCTION prune_commands(interval, integer) TO {ROLE}"


def upgrade() -> None:
    # Plans are cached, and the first may be made while tables are empty: look-ups shall stay look-ups.
    op.execute("""
        CREATE FUNCTION prune_commands(older_than interval, most integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
        DECLARE
            pruned integer;
        BEGIN
            IF older_than IS NULL OR now() - older_than > now() - interval '24 hours' THEN
                RAISE EXCEPTION 'Commands decided % ago are not forgotten: the ledger keeps them 24 hours at least.',
                    coalesce(older_than::text, 'some time')
                    USING ERRCODE = '23514', TABLE = 'commands', CONSTRAINT = 'guard_commands_kept';
            END IF;
            -- decided_at says that a command is decided: ck_commands_decided.
            -- A look-up for each row and no join: the index on decided_at is followed until there are enough.
            DELETE FROM public.commands
            WHERE idempotency_key = ANY (ARRAY(
                SELECT c.idempotency_key FROM public.commands AS c
                WHERE c.decided_at <= now() - older_than
                  AND coalesce(
                      (SELECT run.status FROM public.production_runs AS run WHERE run.id = c.run_id), 'ARCHIVED'
                  ) = 'ARCHIVED'
                ORDER BY c.decided_at
                LIMIT most
                FOR UPDATE OF c SKIP LOCKED
            ));
            GET DIAGNOSTICS pruned = ROW_COUNT;
            RETURN pruned;
        END;
        $$
    """)
    op.execute("REVOKE EXECUTE ON FUNCTION prune_commands(interval, integer) FROM PUBLIC")
    if op.get_bind().scalar(sa.text(f"SELECT to_regrole('{ROLE}') IS NOT NULL")):
        op.execute(GRANT)
    else:
        sys.stderr.write(
            f"runworker: the role {ROLE} is missing. An administrator who makes it has to run, in this database:\n"
            f"    {GRANT};\n"
        )


def downgrade() -> None:
    op.execute("DROP FUNCTION prune_commands(interval, integer)")
