"""Add the ledger of commands, the dead letters and the counters of run and lot numbers.

The indexes on WAITING commands say so in different words, which mean the same (ck_commands_waiting: what waits has a
time, nothing else has). Under one condition, PostgreSQL would look for the few commands that a change wakes by reading
all of the index on their times.

Revision ID: 20261129_1_ledger
Revises: 20260124_flow_version_immutable
"""

from alembic import op

from runworker.migrations import create_objects, drop_objects

revision = "20261129_1_ledger"
down_revision = "20260124_flow_version_immutable"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _commands()
    _dead_letters()
    op.execute("""
        CREATE TABLE code_counters (
            prefix varchar(10),
            site_code varchar(4),
            day date,
            last_number bigint NOT NULL,
            CONSTRAINT pk_code_counters PRIMARY KEY (prefix, site_code, day)
        )
    """)
    create_objects("refuse_change@1")
    create_objects("guard_commands@1")
    create_objects("guard_dead_letters@1")


def downgrade() -> None:
    drop_objects("guard_dead_letters@1")
    drop_objects("guard_commands@1")
    drop_objects("refuse_change@1")
    op.execute("DROP TABLE code_counters")
    op.execute("DROP TABLE dead_letters")
    op.execute("DROP TABLE commands")


def _commands() -> None:
    # What the storage parameters are for is said in the revision on growth.
    op.execute("""
        CREATE TABLE commands (
            idempotency_key uuid CONSTRAINT pk_commands PRIMARY KEY,
            command varchar(50) NOT NULL,
            payload jsonb NOT NULL,
            payload_sha256 bytea,
            issued_by uuid,
            status varchar(20) NOT NULL DEFAULT 'QUEUED'
                CONSTRAINT ck_commands_status CHECK (status IN ('QUEUED','WAITING','APPLIED','REJECTED','EXPIRED')),
            run_id uuid,
            lot_id uuid,
            waiting_for jsonb,
            blocked_on uuid[],
            verdict jsonb,
            code varchar(50),
            task_id text,
            received_at timestamptz NOT NULL DEFAULT now(),
            decided_at timestamptz,
            expires_at timestamptz,
            deliveries integer NOT NULL DEFAULT 0,
            CONSTRAINT ck_commands_decided CHECK (
                CASE WHEN status IN ('APPLIED','REJECTED','EXPIRED') THEN decided_at IS NOT NULL AND verdict IS NOT NULL
                     ELSE decided_at IS NULL END),
            CONSTRAINT ck_commands_waiting CHECK ((status = 'WAITING') = (expires_at IS NOT NULL))
        ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
                autovacuum_vacuum_insert_scale_factor = 0.05)
    """)
    op.execute("CREATE INDEX idx_commands_blocked_on ON commands USING gin (blocked_on) WHERE status = 'WAITING'")
    op.execute("CREATE INDEX idx_commands_expires_at ON commands (expires_at) WHERE expires_at IS NOT NULL")
    op.execute("CREATE INDEX idx_commands_queued ON commands (received_at) WHERE status = 'QUEUED'")
    op.execute("CREATE INDEX idx_commands_run_id ON commands (run_id)")


def _dead_letters() -> None:
    op.execute("""
        CREATE TABLE dead_letters (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_dead_letters PRIMARY KEY,
            body_sha256 bytea NOT NULL CONSTRAINT uq_dead_letters_body_sha256 UNIQUE,
            raw_body bytea NOT NULL,
            headers jsonb NOT NULL DEFAULT '{}'::jsonb,
            task_name text,
            task_id text,
            code varchar(50) NOT NULL,
            error text NOT NULL,
            times integer NOT NULL DEFAULT 1,
            first_seen_at timestamptz NOT NULL DEFAULT now(),
            last_seen_at timestamptz NOT NULL DEFAULT now(),
            replayed_at timestamptz,
            replayed_by uuid
        )
    """)
    op.execute("CREATE INDEX idx_dead_letters_last_seen ON dead_letters (last_seen_at)")
