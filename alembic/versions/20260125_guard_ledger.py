"""Guard what was asked and what was answered.

    guard_commands_identity     a command's key never changes
    guard_commands_decided      an APPLIED, REJECTED or EXPIRED command changes its deliveries and task_id only
    guard_commands_move         QUEUED to WAITING, APPLIED or REJECTED; WAITING to APPLIED, REJECTED or EXPIRED
    guard_dead_letters_kept     a dead letter changes only in when and how often it was seen, why it failed last
                                (code, error), and when and by whom it was replayed

A legal decision passes by the trigger's condition alone: no function is called.

Revision ID: 20260125_guard_ledger
Revises: 20260125_guard_lots
"""

from alembic import op

revision = "20260125_guard_ledger"
down_revision = "20260125_guard_lots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION guard_command() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            expected record;
        BEGIN
            IF NEW.idempotency_key <> OLD.idempotency_key THEN
                RAISE EXCEPTION 'Command %: its key never changes.', OLD.idempotency_key
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_commands_identity';
            END IF;

            IF OLD.status IN ('QUEUED', 'WAITING') THEN
                RAISE EXCEPTION 'Command % cannot go from % to %.', OLD.idempotency_key, OLD.status, NEW.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_commands_move';
            END IF;

            expected := OLD;
            expected.deliveries := NEW.deliveries;
            expected.task_id := NEW.task_id;
            IF NEW IS DISTINCT FROM expected THEN
                RAISE EXCEPTION 'Command % is % and stays as it was decided.', OLD.idempotency_key, OLD.status
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_commands_decided';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_commands_guard
        BEFORE UPDATE ON commands
        FOR EACH ROW WHEN (
            OLD.status NOT IN ('QUEUED', 'WAITING')
            OR NOT (NEW.status = OLD.status OR NEW.status IN ('APPLIED', 'REJECTED')
                    OR (OLD.status, NEW.status) IN (('QUEUED', 'WAITING'), ('WAITING', 'EXPIRED')))
            OR NEW.idempotency_key <> OLD.idempotency_key
        )
        EXECUTE FUNCTION guard_command()
    """)
    op.execute("""
        CREATE FUNCTION guard_dead_letter() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            expected record := OLD;
        BEGIN
            expected.times := NEW.times;
            expected.code := NEW.code;
            expected.error := NEW.error;
            expected.last_seen_at := NEW.last_seen_at;
            expected.replayed_at := NEW.replayed_at;
            expected.replayed_by := NEW.replayed_by;
            IF NEW IS DISTINCT FROM expected THEN
                RAISE EXCEPTION 'Dead letter % is kept as it came: only times, reason and replay may change.', OLD.id
                    USING ERRCODE = '23514', TABLE = TG_TABLE_NAME, CONSTRAINT = 'guard_dead_letters_kept';
            END IF;
            RETURN NEW;
        END;
        $$
    """)
    op.execute("""
        CREATE TRIGGER trg_dead_letters_guard
        BEFORE UPDATE ON dead_letters
        FOR EACH ROW EXECUTE FUNCTION guard_dead_letter()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER trg_dead_letters_guard ON dead_letters")
    op.execute("DROP FUNCTION guard_dead_letter()")
    op.execute("DROP TRIGGER trg_commands_guard ON commands")
    op.execute("DROP FUNCTION guard_command()")
