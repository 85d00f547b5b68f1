"""What a superuser may do to a database, one row a kind: the change, and what verification says of it."""

from typing import NamedTuple

REPLICA = "SET LOCAL session_replication_role = replica;"
"""What puts triggers aside, for whoever may."""


class Kind(NamedTuple):
    """A kind of tampering: what is done, the table that is named, and what is said of it."""

    change: str
    table: str
    said: str


def without_triggers(change: str) -> str:
    return f"{REPLICA} {change}; SET LOCAL session_replication_role = origin"


A_LOT = "(SELECT id FROM lots WHERE lot_type = 'MIX' ORDER BY lot_code LIMIT 1)"
A_LINK = "(SELECT id FROM lot_genealogy ORDER BY id LIMIT 1)"
RUNNING = "(SELECT id FROM production_runs WHERE status = 'HOLD')"
COMPLETED = "(SELECT id FROM production_runs WHERE status = 'COMPLETED')"
A_COMMAND = "(SELECT idempotency_key FROM commands WHERE status = '{}' AND command = '{}' ORDER BY 1 LIMIT 1)"
UNSEALED = "(SELECT max(last_event_id) FROM audit_seals)"

TRAIL = {
    "all events truncated": (
        "TRUNCATE audit_events",
        "audit_events",
        "no event is there",
    ),
    "all events and seals truncated": (
        "TRUNCATE audit_events, audit_seals",
        "lots",
        "no event says how the row came to be",
    ),
    "all events and seals truncated, ids from 1 again": (
        "TRUNCATE audit_events, audit_seals RESTART IDENTITY",
        "lots",
        "no event says how the row came to be",
    ),
    "all seals deleted": ("DELETE FROM audit_seals", "audit_seals", "no seal is there"),
    "the last seal deleted": (
        "DELETE FROM audit_seals WHERE id = (SELECT max(id) FROM audit_seals)",
        "audit_seals",
        "is the last that is there",
    ),
    "the last seals with their events deleted": (
        "DELETE FROM audit_events WHERE id > (SELECT min(last_event_id) FROM audit_seals);"
        " DELETE FROM audit_seals WHERE id > (SELECT min(id) FROM audit_seals)",
        "production_runs",
        "no event says how the row came to be",
    ),
    "a sealed event changed": (
        "UPDATE audit_events SET actor = NULL WHERE id = (SELECT min(id) + 20 FROM audit_events)",
        "audit_seals",
        "its hash does not fit",
    ),
    "a sealed event deleted": (
        "DELETE FROM audit_events WHERE id = (SELECT min(id) + 20 FROM audit_events)",
        "audit_seals",
        "and there are fewer",
    ),
    "a seal changed": (
        "UPDATE audit_seals SET sha256 = sha256('x') WHERE id = (SELECT min(id) FROM audit_seals)",
        "audit_seals",
        "its hash does not fit",
    ),
    "a seal in the middle deleted": (
        "DELETE FROM audit_seals WHERE id = (SELECT min(id) + 1 FROM audit_seals)",
        "audit_seals",
        "does not follow the seal before it",
    ),
    "an unsealed INSERT deleted": (
        f"DELETE FROM audit_events WHERE id > {UNSEALED} AND entity = 'users' AND operation = 'INSERT'",
        "users",
        "its events begin with a UPDATE",
    ),
    "an unsealed UPDATE deleted": (
        f"DELETE FROM audit_events WHERE id > {UNSEALED} AND entity = 'users' AND operation = 'UPDATE'",
        "users",
        'role = "OPERATOR"; expected as event',
    ),
    "all unsealed events deleted": (
        f"DELETE FROM audit_events WHERE id > {UNSEALED}",
        "users",
        "no event says how the row came to be",
    ),
    "an unsealed event's before changed": (
        "UPDATE audit_events SET before = jsonb_set(before, '{role}', '\"AUDITOR\"')"
        f" WHERE id > {UNSEALED} AND entity = 'users' AND operation = 'UPDATE'",
        "users",
        "does not begin where event",
    ),
    "an unsealed event's after changed": (
        "UPDATE audit_events SET after = jsonb_set(after, '{status}', '\"COMPLETED\"')"
        f" WHERE id > {UNSEALED} AND entity = 'production_runs'",
        "production_runs",
        'status = "HOLD"; expected as event',
    ),
    "an unsealed event given another actor": (
        f"UPDATE audit_events SET actor = gen_random_uuid() WHERE id > {UNSEALED} AND entity = 'production_runs'",
        "audit_events",
        "as the ledger has it",
    ),
    "an unsealed event moved to another row": (
        f"UPDATE audit_events SET entity_id = gen_random_uuid() WHERE id > {UNSEALED} AND entity = 'production_runs'",
        "audit_events",
        "of a table that is audited",
    ),
    "an event forged with an id of 0": (
        "INSERT INTO audit_events (id, entity, entity_id, operation, before, after, db_user, xact_id)"
        " OVERRIDING SYSTEM VALUE SELECT 0, entity, entity_id, operation, before, after, db_user, xact_id"
        " FROM audit_events ORDER BY id LIMIT 1",
        "audit_events",
        "its id is below 1",
    ),
    "an event forged with an id that was never given out": (
        "INSERT INTO audit_events (id, entity, entity_id, operation, before, after, db_user, xact_id)"
        " OVERRIDING SYSTEM VALUE SELECT 1000000000, entity, entity_id, 'UPDATE', after, after, db_user, xact_id"
        " FROM audit_events ORDER BY id LIMIT 1",
        "audit_events",
        "the last that was given out",
    ),
    "an event forged that changes nothing": (
        "INSERT INTO audit_events (entity, entity_id, operation, before, after, db_user, xact_id)"
        " SELECT 'lots', id, 'UPDATE', to_jsonb(lots), to_jsonb(lots), 'postgres', 1 FROM lots LIMIT 1",
        "lots",
        "changes nothing",
    ),
    "an event without its state": (
        f"UPDATE audit_events SET after = NULL WHERE id > {UNSEALED} AND entity = 'production_runs'",
        "audit_events",
        "an UPDATE with both",
    ),
    "an event with a value that cannot be read": (
        "UPDATE audit_events SET after = jsonb_set(after, '{created_at}', '\"soon\"')"
        f" WHERE id > {UNSEALED} AND entity = 'users' AND operation = 'UPDATE'",
        "users",
        "the look failed",
    ),
}
STATE = {
    "a lot's weight": (
        f"UPDATE lots SET weight_kg = weight_kg + 1 WHERE id = {A_LOT}",
        "lots",
        "weight_kg = ",
    ),
    "a lot's status": ("UPDATE lots SET status = 'RELEASED' WHERE status = 'REJECTED'", "lots", 'status = "RELEASED"'),
    "a lot's step": (f"UPDATE lots SET step_index = 2 WHERE id = {A_LOT}", "lots", "step_index = 2"),
    "a lot's type": (f"UPDATE lots SET lot_type = 'BULK' WHERE id = {A_LOT}", "lots", 'lot_type = "BULK"'),
    "a lot's code": (f"UPDATE lots SET lot_code = 'X' WHERE id = {A_LOT}", "lots", 'lot_code = "X"'),
    "a lot's metadata": (
        f"UPDATE lots SET metadata = '{{\"a\": null}}' WHERE id = {A_LOT}",
        "lots",
        "as event",
    ),
    "a lot deleted": (f"DELETE FROM lots WHERE id = {A_LOT}", "lots", "the row is gone"),
    "a lot added": (
        "INSERT INTO lots (lot_code, lot_type) VALUES ('RAW-X', 'RAW')",
        "lots",
        "no event says how the row came to be",
    ),
    "a link's quantity": (
        f"UPDATE lot_genealogy SET quantity_used_kg = 1 WHERE id = {A_LINK}",
        "lot_genealogy",
        "quantity_used_kg = 1.00",
    ),
    "a link's parent": (
        f"UPDATE lot_genealogy SET parent_lot_id = {A_LOT} WHERE id = {A_LINK}",
        "lot_genealogy",
        "parent_lot_id = ",
    ),
    "a link deleted": (f"DELETE FROM lot_genealogy WHERE id = {A_LINK}", "lot_genealogy", "the row is gone"),
    "a decision": (
        "UPDATE qc_decisions SET decision = 'PASS' WHERE decision = 'HOLD'",
        "qc_decisions",
        'decision = "PASS"',
    ),
    "a decision's temperature": (
        "UPDATE qc_decisions SET temperature_c = -20 WHERE temperature_c IS NOT NULL",
        "qc_decisions",
        "temperature_c = -20.0",
    ),
    "a run's status": (
        f"UPDATE production_runs SET status = 'ABORTED', ended_at = now() WHERE id = {RUNNING}",
        "production_runs",
        'status = "ABORTED"',
    ),
    "a run's step": (
        f"UPDATE production_runs SET current_step_index = 3 WHERE id = {RUNNING}",
        "production_runs",
        "current_step_index = 3",
    ),
    "a run's pin": (
        "UPDATE production_runs SET flow_version_id = (SELECT id FROM flow_versions WHERE status = 'DRAFT' LIMIT 1)"
        f" WHERE id = {RUNNING}",
        "production_runs",
        "flow_version_id = ",
    ),
    "a run's reason": (
        f"UPDATE production_runs SET status_reason = 'another reason' WHERE id = {RUNNING}",
        "production_runs",
        'status_reason = "another reason"',
    ),
    "a run's steps": (
        f"UPDATE run_step_executions SET status = 'SKIPPED' WHERE run_id = {RUNNING} AND status = 'PENDING'",
        "run_step_executions",
        'status = "SKIPPED"',
    ),
    "a step's time": (
        f"UPDATE run_step_executions SET completed_at = completed_at + interval '1 s' WHERE run_id = {COMPLETED}",
        "run_step_executions",
        "completed_at = ",
    ),
    "a run's steps deleted": (
        f"DELETE FROM run_step_executions WHERE run_id = {RUNNING}",
        "run_step_executions",
        "the row is gone",
    ),
    "a version's graph": (
        "UPDATE flow_versions SET graph_schema = graph_schema || '{\"viewport\": null}' WHERE status = 'PUBLISHED'",
        "flow_versions",
        "as event",
    ),
    "a version's status": (
        "UPDATE flow_versions SET status = 'REVIEW' WHERE status = 'DRAFT'",
        "flow_versions",
        'status = "REVIEW"',
    ),
    "a flow's name": ("UPDATE flow_definitions SET name = '{}'", "flow_definitions", "as event"),
    "a user's role": ("UPDATE users SET role = 'ADMIN' WHERE role = 'OPERATOR'", "users", 'role = "ADMIN"'),
    "a user added": ("INSERT INTO users (email, role) VALUES ('x@y', 'ADMIN')", "users", "no event says"),
    "a dead letter unmarked": (
        "UPDATE dead_letters SET discarded_at = NULL, discarded_by = NULL, discard_reason = NULL",
        "dead_letters",
        "its marks are not those of its last event",
    ),
    "half restored: no runs, steps, lots and links": (
        "DELETE FROM qc_decisions; DELETE FROM lot_genealogy; DELETE FROM lots; DELETE FROM run_step_executions;"
        " DELETE FROM production_runs",
        "production_runs",
        "the row is gone",
    ),
}
LEDGER = {
    "a refusal made APPLIED": (
        "UPDATE commands SET status = 'APPLIED', code = NULL,"
        " verdict = (verdict - 'code') || '{\"status\": \"APPLIED\"}' WHERE status = 'REJECTED'",
        "commands",
        "is APPLIED and left no event",
    ),
    "a command that took effect made REJECTED": (
        "UPDATE commands SET status = 'REJECTED', code = 'STALE_STEP', verdict = verdict"
        ' || \'{"status": "REJECTED", "code": "STALE_STEP"}\''
        f" WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'advance_step')}",
        "commands",
        "is REJECTED and left events",
    ),
    "a verdict's status": (
        "UPDATE commands SET verdict = verdict || '{\"status\": \"APPLIED\"}' WHERE status = 'REJECTED'",
        "commands",
        "the verdict says",
    ),
    "a verdict's fingerprint": (
        'UPDATE commands SET verdict = verdict || \'{"payload_sha256": "00"}\''
        f" WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'start_run')}",
        "commands",
        "the verdict is about another fingerprint",
    ),
    "a verdict's step": (
        "UPDATE commands SET verdict = verdict || '{\"current_step_index\": 99}'"
        f" WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'advance_step')}",
        "commands",
        "the verdict says run RUNNING, step 99",
    ),
    "a verdict's lot": (
        'UPDATE commands SET verdict = verdict || \'{"lot_status": "REJECTED"}\''
        f" WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'register_lot')}",
        "commands",
        "is REJECTED; expected",
    ),
    "a payload": (
        'UPDATE commands SET payload = payload || \'{"weight_kg": "9.00"}\''
        f" WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'register_lot')}",
        "commands",
        "the fingerprint of its payload is another one",
    ),
    "a fingerprint": (
        "UPDATE commands SET payload_sha256 = sha256('x')"
        f" WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'start_run')}",
        "commands",
        "the fingerprint of its payload is another one",
    ),
    "who asked": (
        "UPDATE commands SET issued_by = gen_random_uuid()"
        f" WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'start_run')}",
        "commands",
        "and the payload says",
    ),
    "a command deleted": (
        f"DELETE FROM commands WHERE idempotency_key = {A_COMMAND.format('APPLIED', 'hold_run')}",
        "commands",
        "a row of hold_run until the run is ARCHIVED",
    ),
}
SCHEMA = {
    "a guard disabled": ("ALTER TABLE lots DISABLE TRIGGER trg_lots_update", "lots", "DISABLED"),
    "a guard dropped": ("DROP TRIGGER trg_lots_update ON lots", "lots", "the trigger is missing"),
    "a guard set ENABLE REPLICA": (
        "ALTER TABLE lots ENABLE REPLICA TRIGGER trg_lots_update",
        "lots",
        "ENABLED FOR REPLICA ONLY",
    ),
    "an audit trigger disabled": ("ALTER TABLE lots DISABLE TRIGGER audit_lots_update", "lots", "DISABLED"),
    "an audit trigger dropped": ("DROP TRIGGER audit_users_update ON users", "users", "the trigger is missing"),
    "all triggers disabled": ("ALTER TABLE lots DISABLE TRIGGER ALL", "pg_trigger", "does not fire"),
    "a trigger's condition changed": (
        "DROP TRIGGER trg_lots_update ON lots; CREATE TRIGGER trg_lots_update BEFORE UPDATE ON lots"
        " FOR EACH ROW WHEN (false) EXECUTE FUNCTION guard_lot()",
        "lots",
        "the trigger says",
    ),
    "a trigger added to the audit trail": (
        "CREATE TRIGGER a BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        "audit_events",
        "a trigger was added",
    ),
    "a function's body emptied": (
        "CREATE OR REPLACE FUNCTION guard_lot() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp"
        " AS 'BEGIN RETURN NEW;END'",
        "guard_lot()",
        "the function says",
    ),
    "a function without its owner's rights": (
        "ALTER FUNCTION audit_lots_update() SECURITY INVOKER",
        "audit_lots_update()",
        "the function says",
    ),
    "a function with another search_path": (
        "ALTER FUNCTION guard_lot_core() SET search_path = public",
        "guard_lot_core()",
        "the function says",
    ),
    "a unique index dropped": ("DROP INDEX uq_flow_versions_one_published", "flow_versions", "the index is missing"),
    "a CHECK dropped": ("ALTER TABLE lots DROP CONSTRAINT ck_lots_status", "lots", "the constraint is missing"),
    "a CHECK added again NOT VALID": (
        "ALTER TABLE lots DROP CONSTRAINT ck_lots_status;"
        " ALTER TABLE lots ADD CONSTRAINT ck_lots_status CHECK (status <> '') NOT VALID",
        "lots",
        "NOT VALID",
    ),
    "a foreign key dropped": (
        "ALTER TABLE lot_genealogy DROP CONSTRAINT fk_lot_genealogy_child_lot_id",
        "lot_genealogy",
        "the constraint is missing",
    ),
    "a column that may be empty": ("ALTER TABLE lots ALTER status DROP NOT NULL", "lots", "the column says"),
    "GRANT ALL TO PUBLIC": ("GRANT ALL ON lots TO PUBLIC", "lots", "a right was added"),
    "a right of the worker's added": (
        "GRANT DELETE ON audit_events TO runworker_worker",
        "audit_events",
        "a right was added",
    ),
    "EXECUTE for everybody": (
        "GRANT EXECUTE ON FUNCTION prune_commands(interval, integer) TO PUBLIC",
        "prune_commands(interval,integer)",
        "a right was added",
    ),
    "another owner of a table": ("ALTER TABLE lots OWNER TO runworker_worker", "pg_class", "owned by runworker_worker"),
    "another owner of a function": (
        "ALTER FUNCTION guard_lot() OWNER TO runworker_worker",
        "pg_proc",
        "owned by runworker_worker",
    ),
    "rows slipped in by inheritance": ("CREATE TABLE more_lots () INHERITS (lots)", "pg_inherits", "a child of lots"),
    "a rule": ("CREATE RULE nothing AS ON INSERT TO audit_events DO INSTEAD NOTHING", "pg_rewrite", "a rule on"),
    "row security": ("ALTER TABLE lots ENABLE ROW LEVEL SECURITY", "lots", "with row security"),
    "a login without triggers": (
        "ALTER ROLE runworker_worker SET session_replication_role = replica",
        "pg_db_role_setting",
        "session_replication_role=replica",
    ),
}
RULES = {
    "steps left out": (
        "run_step_executions",
        f"UPDATE run_step_executions SET status = 'SKIPPED' WHERE run_id = {RUNNING} AND status = 'PENDING';"
        f" UPDATE run_step_executions SET status = 'PENDING', started_at = NULL WHERE run_id = {RUNNING}"
        " AND status = 'IN_PROGRESS'",
        "production_runs",
        "in progress: none",
    ),
    "a step that is not the run's": (
        "production_runs",
        f"UPDATE production_runs SET current_step_index = 3 WHERE id = {RUNNING}",
        "production_runs",
        "the run is HOLD at step 3",
    ),
    "a run without steps": (
        "run_step_executions",
        f"DELETE FROM run_step_executions WHERE run_id = {RUNNING}",
        "production_runs",
        "and it has no steps",
    ),
    "a pin to a draft": (
        "production_runs",
        "UPDATE production_runs SET flow_version_id = (SELECT id FROM flow_versions WHERE status = 'DRAFT' LIMIT 1)"
        f" WHERE id = {RUNNING}",
        "production_runs",
        "which is DRAFT; expected a version that is or was PUBLISHED",
    ),
    "a step that ends before it begins": (
        "run_step_executions",
        f"UPDATE run_step_executions SET completed_at = started_at - interval '1 s' WHERE run_id = {COMPLETED}"
        " AND status = 'COMPLETED'",
        "run_step_executions",
        "an end not before the beginning",
    ),
    "a circle": (
        "lot_genealogy",
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " SELECT child_lot_id, parent_lot_id, 1 FROM lot_genealogy ORDER BY id LIMIT 1",
        "lot_genealogy",
        "which is made of it; expected no circle",
    ),
    "more taken than there was": (
        "lot_genealogy",
        f"UPDATE lot_genealogy SET quantity_used_kg = 9999 WHERE id = {A_LINK}",
        "lots",
        "kg were taken of",
    ),
    "nothing taken": (
        "lot_genealogy",
        f"UPDATE lot_genealogy SET quantity_used_kg = 0 WHERE id = {A_LINK}",
        "lot_genealogy",
        "0.00 kg of a",
    ),
    "a parent of the other SKU": (
        "lot_genealogy",
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " SELECT above.id, below.id, 1 FROM lots AS above, lots AS below"
        " WHERE above.lot_type = 'FRZ15' AND below.lot_type = 'FG30' LIMIT 1",
        "lot_genealogy",
        "and the same SKU",
    ),
    "two SKUs on a pallet": (
        "lot_genealogy",
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg) SELECT above.id, below.id, 1"
        " FROM lots AS above, lots AS below WHERE above.lot_type::text IN ('FG15', 'FG30') AND below.lot_type = 'PAL'"
        " AND above.sku_type <> below.sku_type LIMIT 1",
        "lot_genealogy",
        "a pallet is made of lots of two SKUs",
    ),
    "a SKU that is not the type's": (
        "lots",
        "UPDATE lots SET sku_type = '30' WHERE lot_type = 'SKW15'",
        "lots",
        "a SKW15 lot of SKU 30",
    ),
}
"""Done with guards put aside and the audit on: state and trail agree, and only the plant's rules tell. Table first."""


def without_guards(table: str, change: str) -> str:
    return (
        f"{REPLICA} ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_{table}_insert;"
        f" ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_{table}_update;"
        f" ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_{table}_delete; {change};"
        f" SET LOCAL session_replication_role = origin; ALTER TABLE {table} ENABLE TRIGGER audit_{table}_insert;"
        f" ALTER TABLE {table} ENABLE TRIGGER audit_{table}_update;"
        f" ALTER TABLE {table} ENABLE TRIGGER audit_{table}_delete"
    )


KINDS = {
    **{name: Kind(without_triggers(change), *rest) for name, (change, *rest) in {**TRAIL, **STATE, **LEDGER}.items()},
    **{name: Kind(*kind) for name, kind in SCHEMA.items()},
    **{name: Kind(without_guards(table, change), *rest) for name, (table, change, *rest) in RULES.items()},
}
