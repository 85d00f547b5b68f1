"""What the guards must let through: each statement changes exactly the rows it says."""

import psycopg
import pytest

ALLOWED = {
    "a draft is discarded": ("DELETE FROM flow_versions WHERE id = md5('draft')::uuid", 1),
    "a draft is redrawn": ("UPDATE flow_versions SET graph_schema = '{}' WHERE id = md5('draft')::uuid", 1),
    "a version goes back from review and is redrawn": (
        "UPDATE flow_versions SET status = 'DRAFT', graph_schema = '{}' WHERE id = md5('review')::uuid",
        1,
    ),
    "a version is deprecated": (
        "UPDATE flow_versions SET status = 'DEPRECATED', command_key = md5('APPLIED')::uuid"
        " WHERE id = md5('published')::uuid",
        1,
    ),
    "a run advances over skipped steps": (
        "UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'",
        1,
    ),
    "a run on hold goes back": ("UPDATE production_runs SET current_step_index = 0 WHERE run_code = 'held'", 1),
    "a finished run is archived, with a reason": (
        "UPDATE production_runs SET status = 'ARCHIVED', status_reason = 'retention is over'"
        " WHERE run_code = 'completed'",
        1,
    ),
    "an idle run is deleted with its steps": ("DELETE FROM production_runs WHERE run_code = 'idle'", 1),
    "steps of an idle run are deleted": ("DELETE FROM run_step_executions WHERE run_id = md5('idle')::uuid", 11),
    "one statement ends a step and begins the next": (
        "UPDATE run_step_executions SET status = CASE status WHEN 'PENDING' THEN 'IN_PROGRESS' ELSE 'COMPLETED' END,"
        " started_at = coalesce(started_at, now()), completed_at = CASE status WHEN 'IN_PROGRESS' THEN now() END"
        " WHERE id IN (md5('running 1')::uuid, md5('running 3')::uuid)",
        2,
    ),
    "a step goes back": (
        "UPDATE run_step_executions SET status = 'PENDING', started_at = NULL WHERE id = md5('running 1')::uuid",
        1,
    ),
    "a finished run's step is written as it is": (
        "UPDATE run_step_executions SET status = status WHERE id = md5('completed 0')::uuid",
        1,
    ),
    "all that is left is taken, by two children in one statement": (
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('RAW-2')::uuid, md5('boned lot')::uuid, 3.5), (md5('RAW-2')::uuid, md5('DEB-2')::uuid, 4)",
        2,
    ),
    "a child takes again from the same parent": (
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('RAW-2')::uuid, md5('boned lot')::uuid, 1)",
        1,
    ),
    "meat without a SKU goes into a lot of 15": (
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('DEB-2')::uuid, md5('SKW15-2')::uuid, 1)",
        1,
    ),
    "a shipment that holds one SKU gets ready for the other": (
        "UPDATE lots SET sku_type = NULL WHERE lot_code = 'SHIP-2'",
        1,
    ),
    "a lot of a completed run is stopped by quality control": (
        "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'packed'",
        1,
    ),
    "a lot is CONSUMED while some of it is left": ("UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'RAW-2'", 1),
    "a lot is weighed again": ("UPDATE lots SET weight_kg = 2.5 WHERE lot_code = 'RAW-2'", 1),
    "a closed lot gets its temperature": ("UPDATE lots SET temperature_c = -19 WHERE lot_code = 'finished'", 1),
    "a decided command is delivered again": (
        "UPDATE commands SET deliveries = deliveries + 1, task_id = 'another' WHERE status = 'APPLIED'",
        1,
    ),
    "a waiting command waits for something else": (
        "UPDATE commands SET waiting_for = '{}', blocked_on = '{}' WHERE status = 'WAITING'",
        1,
    ),
    "a dead letter comes again, is replayed and is discarded": (
        "UPDATE dead_letters SET times = 2, last_seen_at = now(), code = 'INTERNAL_ERROR', error = 'another',"
        " replayed_at = now(), replayed_by = md5('admin')::uuid, replay_reason = 'the plant is mended',"
        " discarded_at = now(), discarded_by = md5('admin')::uuid, discard_reason = 'it was sent anew'",
        1,
    ),
}


@pytest.mark.parametrize(("statement", "rows"), ALLOWED.values(), ids=ALLOWED)
def test_statement_goes_through(connection: psycopg.Connection, statement: str, rows: int) -> None:
    assert connection.execute(statement).rowcount == rows


ADOPTION = """
    UPDATE production_runs
    SET flow_version_id = md5('old plan')::uuid, current_step_index = 1, status_reason = 'cut-over day',
        idempotency_key = gen_random_uuid()
    WHERE run_code = 'legacy'
"""
ADOPTED_STEPS = """
    INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)
    SELECT md5('legacy')::uuid, step, 'node-' || step,
           CASE step WHEN 0 THEN 'COMPLETED' WHEN 1 THEN 'IN_PROGRESS' WHEN 4 THEN 'PENDING' ELSE 'SKIPPED' END,
           CASE WHEN step < 2 THEN now() END, CASE step WHEN 0 THEN now() END
    FROM generate_series(0, 10) AS step
"""

AT_COMMIT = {
    "a run advances": [
        "UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'",
        "UPDATE run_step_executions SET status = CASE status WHEN 'PENDING' THEN 'IN_PROGRESS' ELSE 'COMPLETED' END,"
        " started_at = coalesce(started_at, now()), completed_at = CASE status WHEN 'IN_PROGRESS' THEN now() END"
        " WHERE id IN (md5('running 1')::uuid, md5('running 3')::uuid)",
    ],
    "its steps may come first, and in savepoints": [
        "SAVEPOINT one",
        "UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now() WHERE id = md5('running 1')::uuid",
        "SAVEPOINT two",
        "UPDATE run_step_executions SET status = 'IN_PROGRESS', started_at = now() WHERE id = md5('running 3')::uuid",
        "UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'",
    ],
    "a run starts, step by step written": [
        "INSERT INTO production_runs (id, run_code, flow_version_id, status)"
        " VALUES (md5('new')::uuid, 'new', md5('published')::uuid, 'RUNNING')",
        *(
            "INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at)"  # noqa: S608 - numbers
            f" SELECT md5('new')::uuid, {step}, 'node', s, CASE s WHEN 'IN_PROGRESS' THEN now() END"
            f" FROM (VALUES ('{'IN_PROGRESS' if step == 0 else 'SKIPPED' if step == 5 else 'PENDING'}')) AS given (s)"
            for step in range(11)
        ),
    ],
    "a run is aborted, its steps first": [
        "UPDATE run_step_executions SET status = 'SKIPPED'"
        " WHERE run_id = md5('held')::uuid AND status IN ('PENDING', 'IN_PROGRESS')",
        "UPDATE production_runs SET status = 'ABORTED', ended_at = now(), status_reason = 'power failure'"
        " WHERE run_code = 'held'",
    ],
    "a run of an older system is held and aborted": [
        "UPDATE production_runs SET status = 'HOLD', status_reason = 'belt is torn' WHERE run_code = 'legacy'",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "UPDATE production_runs SET status = 'ABORTED', ended_at = now(), status_reason = 'power failure'"
        " WHERE run_code = 'legacy'",
    ],
    "a run of an older system is adopted, on HOLD, with a lot of its first step on HOLD, and goes on": [
        "INSERT INTO lots (lot_code, status, step_index, production_run_id)"
        " VALUES ('new', 'QUARANTINE', 0, md5('legacy')::uuid)",
        "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'new'",
        "UPDATE production_runs SET status = 'HOLD', status_reason = 'belt is torn' WHERE run_code = 'legacy'",
        ADOPTION,
        ADOPTED_STEPS,
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET CONSTRAINTS ALL DEFERRED",
        "UPDATE production_runs SET status = 'RUNNING', status_reason = 'belt is mended' WHERE run_code = 'legacy'",
        "UPDATE production_runs SET current_step_index = 4 WHERE run_code = 'legacy'",
        "UPDATE run_step_executions SET status = CASE step_index WHEN 1 THEN 'COMPLETED' ELSE 'IN_PROGRESS' END,"
        " started_at = now(), completed_at = CASE step_index WHEN 1 THEN now() END"
        " WHERE run_id = md5('legacy')::uuid AND step_index IN (1, 4)",
    ],
    "a lot without type, run and step gets them": [
        "INSERT INTO lots (lot_code) VALUES ('new')",
        "UPDATE lots SET lot_type = 'FRZ15', sku_type = '15' WHERE lot_code = 'new'",
        "UPDATE lots SET production_run_id = md5('running')::uuid, step_index = 7 WHERE lot_code = 'new'",
    ],
    "a lot between others gets a type, a run and a step that fit them": [
        "INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE')",
        "INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('new')::uuid, 'PASS')",
        "UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new'",
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('SKW15-2')::uuid, md5('new')::uuid, 1), (md5('new')::uuid, md5('PAL-2')::uuid, 1)",
        "UPDATE lots SET lot_type = 'FRZ15', sku_type = '15', step_index = 7, production_run_id = md5('held')::uuid"
        " WHERE lot_code = 'new'",
    ],
    "a lot that is used up gets its type and its run": [
        "INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE')",
        "INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('new')::uuid, 'PASS')",
        "UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new'",
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('new')::uuid, md5('DEB-2')::uuid, 1)",
        "UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'new'",
        "UPDATE lots SET lot_type = 'RAW', production_run_id = md5('running')::uuid WHERE lot_code = 'new'",
    ],
    "a lot is passed, and is RELEASED in a savepoint": [
        "UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'RAW-1'",
        "SAVEPOINT one",
        "INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('raw lot')::uuid, 'PASS')",
        "RELEASE SAVEPOINT one",
    ],
    "a lot is RELEASED from HOLD by a PASS": [
        "INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('on hold')::uuid, 'PASS')",
        "UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'on hold'",
    ],
    "a lot is RELEASED from HOLD by its command": [
        "INSERT INTO commands (idempotency_key, command, payload, lot_id, status, verdict, decided_at)"
        " VALUES (md5('now')::uuid, 'resolve_hold', '{}', md5('on hold')::uuid, 'APPLIED', '{}', now())",
        "UPDATE lots SET status = 'RELEASED', command_key = md5('now')::uuid WHERE lot_code = 'on hold'",
    ],
    "a lot without a step gets one": [
        "INSERT INTO lots (lot_code) VALUES ('new')",
        "UPDATE lots SET step_index = 2 WHERE lot_code = 'new'",
    ],
    "meat without a SKU goes into both, though nobody knows its type": [
        "INSERT INTO lots (id, lot_code, weight_kg, status) VALUES (md5('new')::uuid, 'new', 10, 'QUARANTINE')",
        "INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('new')::uuid, 'PASS')",
        "UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'new'",
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('new')::uuid, md5('SKW15-2')::uuid, 1), (md5('new')::uuid, md5('SKW30-2')::uuid, 1)",
    ],
    "a finished run is archived whatever its steps": [
        "ALTER TABLE run_step_executions DISABLE TRIGGER USER",
        "UPDATE run_step_executions SET status = 'PENDING', started_at = NULL, completed_at = NULL"
        " WHERE id = md5('completed 3')::uuid",
        "ALTER TABLE run_step_executions ENABLE TRIGGER USER",
        "UPDATE production_runs SET status = 'ARCHIVED' WHERE run_code = 'completed'",
    ],
}


@pytest.mark.parametrize("statements", AT_COMMIT.values(), ids=AT_COMMIT)
def test_transaction_goes_through(connection: psycopg.Connection, statements: list[str]) -> None:
    for statement in [*statements, "SET CONSTRAINTS ALL IMMEDIATE"]:
        connection.execute(statement)


def test_created_lot_is_deleted(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO lots (lot_code) VALUES ('new')")

    assert connection.execute("DELETE FROM lots WHERE lot_code = 'new'").rowcount == 1


def test_shipment_carries_both_skus(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO lots (id, lot_code, lot_type, step_index) VALUES (md5('new')::uuid, 'new', 'SHIP', 10)"
    )

    both = connection.execute(
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('PAL-2')::uuid, md5('new')::uuid, 1), (md5('SKW30-2')::uuid, md5('new')::uuid, 1)"
    )

    assert both.rowcount == 2


def test_pallet_gets_the_sku_of_its_first_parent_with_one(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO lots (id, lot_code, lot_type, step_index) VALUES (md5('new')::uuid, 'new', 'PAL', 9)"
    )
    take = (
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5(%s)::uuid, md5('new')::uuid, 1)"
    )
    connection.execute(take, ["DEB-2"])

    assert connection.execute("UPDATE lots SET sku_type = '30' WHERE lot_code = 'new'").rowcount == 1

    assert connection.execute(take, ["SKW30-2"]).rowcount == 1


def test_run_moves_on_while_a_lot_of_another_step_is_on_hold(connection: psycopg.Connection) -> None:
    assert connection.execute("SELECT step_index FROM lots WHERE status = 'HOLD'").fetchall() == [(2,)]

    moved = connection.execute("UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'")

    assert moved.rowcount == 1


def test_run_goes_back_behind_lots_that_are_rejected(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO lots (lot_code, status, step_index, production_run_id)"
        " VALUES ('new', 'QUARANTINE', 10, md5('at last step')::uuid)"
    )
    connection.execute("UPDATE lots SET status = 'REJECTED', status_reason = 'smells of smoke' WHERE lot_code = 'new'")

    back = connection.execute(
        "UPDATE production_runs SET current_step_index = 3, status_reason = 'belt is torn'"
        " WHERE run_code = 'at last step'"
    )

    assert back.rowcount == 1


@pytest.mark.parametrize("first", ["parent", "child"])
def test_one_statement_finishes_a_chain_in_whatever_order(connection: psycopg.Connection, first: str) -> None:
    """Rows are updated in the order they were written in: parents before children, or after them."""
    steps = {"RAW": 1, "DEB": 2, "SHIP": 10}
    for lot_type, step in sorted(steps.items(), key=lambda item: item[1], reverse=first == "child"):
        connection.execute(
            "INSERT INTO lots (id, lot_code, lot_type, step_index, status, weight_kg)"
            " VALUES (md5('new ' || %(type)s)::uuid, 'new ' || %(type)s, %(type)s::text::lot_type, %(step)s,"
            " 'QUARANTINE', 10)",
            {"type": lot_type, "step": step},
        )
    connection.execute("UPDATE lots SET status = 'RELEASED' WHERE lot_code LIKE 'new %'")
    connection.execute(
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('new RAW')::uuid, md5('new DEB')::uuid, 10), (md5('new DEB')::uuid, md5('new SHIP')::uuid, 10)"
    )
    connection.execute("UPDATE lots SET status = 'CONSUMED' WHERE lot_code IN ('new RAW', 'new DEB')")

    assert connection.execute("UPDATE lots SET status = 'FINISHED' WHERE lot_code LIKE 'new %'").rowcount == 3


TABLES_WITH_COMMAND_KEY = ("flow_versions", "production_runs", "run_step_executions", "lots")


@pytest.mark.parametrize("table", TABLES_WITH_COMMAND_KEY)
def test_change_by_hand_forgets_the_last_command(connection: psycopg.Connection, table: str) -> None:
    """trg_<table>_command_key."""
    row = {
        "flow_versions": "md5('draft')::uuid",
        "production_runs": "md5('running')::uuid",
        "run_step_executions": "md5('running 1')::uuid",
        "lots": "md5('raw lot')::uuid",
    }[table]
    change = {"flow_versions": "created_by"}.get(table, "operator_id")
    by_command = f"UPDATE {table} SET {change} = NULL, command_key = md5('APPLIED')::uuid WHERE id = {row}"  # noqa: S608 - written above
    by_hand = f"UPDATE {table} SET {change} = md5('admin')::uuid WHERE id = {row} RETURNING command_key"  # noqa: S608 - as above

    connection.execute(by_command)

    assert connection.execute(by_hand).fetchone() == (None,)
