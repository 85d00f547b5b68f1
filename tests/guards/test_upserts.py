"""Upserts of rows that are there, as systems that synchronise write them, pass the guards of new rows."""

import psycopg
import pytest

UPSERTS = {
    "a finished lot": (
        "INSERT INTO lots (id, lot_code, lot_type, status, production_run_id)"
        " VALUES (md5('finished')::uuid, 'finished', 'SHIP', 'FINISHED', md5('completed')::uuid)"
        " ON CONFLICT DO NOTHING",
        0,
    ),
    "a lot of a completed run, with its temperature": (
        "INSERT INTO lots (id, lot_code, lot_type, status, production_run_id)"
        " VALUES (md5('packed')::uuid, 'packed', 'SHIP', 'QUARANTINE', md5('completed')::uuid)"
        " ON CONFLICT (lot_code) DO UPDATE SET temperature_c = -19",
        1,
    ),
    "a link whose parent is used up": (
        "INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('link')::uuid, md5('consumed')::uuid, md5('boned lot')::uuid, 2.5) ON CONFLICT DO NOTHING",
        0,
    ),
    "a link, as it is": (
        "INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('link')::uuid, md5('RAW-2')::uuid, md5('boned lot')::uuid, 2.5)"
        " ON CONFLICT (id) DO UPDATE SET quantity_used_kg = excluded.quantity_used_kg",
        1,
    ),
    "a completed run": (
        "INSERT INTO production_runs (id, run_code, flow_version_id, status, completed_at, ended_at)"
        " VALUES (md5('completed')::uuid, 'completed', md5('deprecated')::uuid, 'COMPLETED', now(), now())"
        " ON CONFLICT DO NOTHING",
        0,
    ),
    "a run at its step, with its summary": (
        "INSERT INTO production_runs (id, run_code, flow_version_id, status, current_step_index)"
        " VALUES (md5('running')::uuid, 'running', md5('published')::uuid, 'RUNNING', 1)"
        " ON CONFLICT (id) DO UPDATE SET summary = '{}'",
        1,
    ),
    "a completed step": (
        "INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)"
        " VALUES (md5('running')::uuid, 0, 'node-0', 'COMPLETED', now(), now()) ON CONFLICT DO NOTHING",
        0,
    ),
    "a completed step, with its operator": (
        "INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)"
        " VALUES (md5('running')::uuid, 0, 'node-0', 'COMPLETED', now(), now())"
        " ON CONFLICT (run_id, step_index) DO UPDATE SET operator_id = NULL",
        1,
    ),
}


@pytest.mark.parametrize(("statement", "rows"), UPSERTS.values(), ids=UPSERTS)
def test_upsert_of_a_row_that_is_there_goes_through(connection: psycopg.Connection, statement: str, rows: int) -> None:
    assert connection.execute(statement).rowcount == rows
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_upsert_that_changes_a_link_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(
            "INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)"
            " VALUES (md5('link')::uuid, md5('RAW-2')::uuid, md5('boned lot')::uuid, 1)"
            " ON CONFLICT (id) DO UPDATE SET quantity_used_kg = excluded.quantity_used_kg"
        )
    assert refused.value.diag.constraint_name == "guard_lot_genealogy_kept"
