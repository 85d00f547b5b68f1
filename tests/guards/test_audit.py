"""Every change leaves one event that says who, what, before and after."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

# For each audited table: a new row, a change of it, and the change's column as the event shows it.
CHANGES: dict[str, tuple[str, str, tuple[str, Any, Any]]] = {
    "users": (
        "INSERT INTO users (id, email, role) VALUES (md5('new')::uuid, 'new@plant.example', 'VIEWER')",
        "UPDATE users SET role = 'ADMIN' WHERE id = md5('new')::uuid",
        ("role", "VIEWER", "ADMIN"),
    ),
    "flow_definitions": (
        "INSERT INTO flow_definitions (id, name) VALUES (md5('new')::uuid, '{\"en\": null}')",
        "UPDATE flow_definitions SET description = 'thin' WHERE id = md5('new')::uuid",
        ("description", None, "thin"),
    ),
    "flow_versions": (
        "INSERT INTO flow_versions (id, flow_definition_id, version_num, graph_schema)"
        " VALUES (md5('new')::uuid, md5('flow')::uuid, 9, '{\"label\": null}')",
        "UPDATE flow_versions SET status = 'REVIEW' WHERE id = md5('new')::uuid",
        ("status", "DRAFT", "REVIEW"),
    ),
    "production_runs": (
        "INSERT INTO production_runs (id, run_code, flow_version_id, summary)"
        " VALUES (md5('new')::uuid, 'new', md5('published')::uuid, '{\"note\": null}')",
        "UPDATE production_runs SET status = 'RUNNING' WHERE id = md5('new')::uuid",
        ("status", "IDLE", "RUNNING"),
    ),
    "lots": (
        "INSERT INTO lots (id, lot_code, metadata) VALUES (md5('new')::uuid, 'new', '{\"note\": null}')",
        "UPDATE lots SET status = 'QUARANTINE' WHERE id = md5('new')::uuid",
        ("status", "CREATED", "QUARANTINE"),
    ),
    "lot_genealogy": (
        "INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)"
        " VALUES (md5('new')::uuid, md5('RAW-2')::uuid, md5('boned lot')::uuid, 2)",
        "UPDATE lot_genealogy SET quantity_used_kg = 3 WHERE id = md5('new')::uuid",
        ("quantity_used_kg", 2.0, 3.0),
    ),
    "qc_decisions": (
        "INSERT INTO qc_decisions (id, lot_id, decision) VALUES (md5('new')::uuid, md5('raw lot')::uuid, 'PASS')",
        "UPDATE qc_decisions SET decision = 'FAIL' WHERE id = md5('new')::uuid",
        ("decision", "PASS", "FAIL"),
    ),
}

# What a guard lets nobody do is recorded all the same when the tables' owner has put the guard aside.
GUARDS = {
    "production_runs": ("trg_production_runs_guard",),
    "lots": ("trg_lots_delete",),
    "lot_genealogy": ("trg_lot_genealogy_update", "trg_lot_genealogy_delete"),
    "qc_decisions": ("guard_qc_decisions_kept",),
}

REPLAY = {"replayed_at", "replayed_by"}

DOCUMENTS = {
    "flow_definitions": ("name", {"en": None}),
    "flow_versions": ("graph_schema", {"label": None}),
    "production_runs": ("summary", {"note": None}),
    "lots": ("metadata", {"note": None}),
}


def _events(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Events of this transaction, oldest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT * FROM audit_events WHERE xact_id = pg_current_xact_id()::text::bigint ORDER BY id"
        ).fetchall()


@pytest.mark.parametrize("table", CHANGES)
def test_each_change_of_a_row_is_an_event(connection: psycopg.Connection, table: str) -> None:
    insert, update, (column, before, after) = CHANGES[table]
    delete = "DELETE FROM {} WHERE id = md5('new')::uuid".format(table)  # noqa: S608, UP032 - a table named above
    id_ = connection.execute("SELECT md5('new')::uuid").fetchone()[0]

    connection.execute(insert)
    for guard in GUARDS.get(table, ()):
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
    connection.execute(update)
    connection.execute(delete)

    inserted, updated, deleted = _events(connection)
    for event, operation in ((inserted, "INSERT"), (updated, "UPDATE"), (deleted, "DELETE")):
        assert (event["entity"], event["entity_id"], event["operation"]) == (table, id_, operation)
        assert (event["command_key"], event["command"], event["actor"]) == (None, None, None)
    assert inserted["before"] is None
    assert inserted["after"] == updated["before"]
    assert updated["before"].get(column) == before
    assert updated["after"] == {**updated["before"], column: after}
    assert deleted["before"] == updated["after"]
    assert deleted["after"] is None


def test_who_marks_a_dead_letter_leaves_an_event_and_who_counts_it_up_none(connection: psycopg.Connection) -> None:
    admin, entity = connection.execute("SELECT md5('admin')::uuid, ('01' || repeat('0', 30))::uuid").fetchone()
    connection.execute(
        "INSERT INTO dead_letters (body_sha256, raw_body, headers, code, error)"
        " VALUES (decode(rpad('01', 64, '0'), 'hex'), 'no JSON', '{\"origin\": \"x\"}', 'INTERNAL_ERROR', 'new')"
    )
    of_it = "UPDATE dead_letters SET {} WHERE error = 'new'"
    connection.execute(of_it.format("times = times + 1, last_seen_at = now()"))
    assert _events(connection) == []

    connection.execute(of_it.format("replayed_at = now(), replayed_by = md5('admin')::uuid"))
    connection.execute(
        of_it.format("discarded_at = now(), discarded_by = md5('manager')::uuid, discard_reason = 'it was sent anew'")
    )
    connection.execute("DELETE FROM dead_letters WHERE error = 'new'")

    replayed, discarded, deleted = _events(connection)
    assert {(event["entity"], event["entity_id"]) for event in _events(connection)} == {("dead_letters", entity)}
    assert (replayed["operation"], replayed["actor"], replayed["after"]["times"]) == ("UPDATE", admin, 2)
    assert replayed["after"]["replayed_by"] == str(admin)
    assert not {"raw_body", "headers"} & replayed["after"].keys()
    assert replayed["before"] == {name: replayed["after"][name] for name in replayed["after"].keys() - REPLAY}
    assert str(discarded["actor"]) == discarded["after"]["discarded_by"] != str(admin)
    assert discarded["after"]["discard_reason"] == "it was sent anew"
    assert (deleted["operation"], deleted["before"], deleted["after"]) == ("DELETE", discarded["after"], None)


@pytest.mark.parametrize("table", DOCUMENTS)
def test_nulls_of_a_row_are_left_out_and_those_of_its_document_kept(connection: psycopg.Connection, table: str) -> None:
    column, document = DOCUMENTS[table]

    connection.execute(CHANGES[table][0])

    (event,) = _events(connection)
    assert event["after"].pop(column) == document
    assert None not in event["after"].values()


def test_steps_of_a_run_are_one_event_a_statement(connection: psycopg.Connection) -> None:
    run_id = connection.execute("SELECT md5('running')::uuid").fetchone()[0]

    connection.execute(
        "UPDATE run_step_executions SET status = CASE status WHEN 'PENDING' THEN 'IN_PROGRESS' ELSE 'COMPLETED' END,"
        " started_at = coalesce(started_at, now()), completed_at = CASE status WHEN 'IN_PROGRESS' THEN now() END"
        " WHERE id IN (md5('running 1')::uuid, md5('running 3')::uuid)"
    )

    (event,) = _events(connection)
    assert (event["entity"], event["entity_id"], event["operation"]) == ("run_step_executions", run_id, "UPDATE")
    assert {index: step["status"] for index, step in event["before"].items()} == {"1": "IN_PROGRESS", "3": "PENDING"}
    assert {index: step["status"] for index, step in event["after"].items()} == {"1": "COMPLETED", "3": "IN_PROGRESS"}


def test_steps_are_audited_from_start_to_deletion(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO production_runs (id, run_code, flow_version_id)"
        " SELECT md5(code)::uuid, code, md5('published')::uuid FROM unnest(ARRAY['new', 'newer']) AS code;"
        "INSERT INTO run_step_executions (run_id, step_index, node_id)"
        " SELECT md5(code)::uuid, step, 'node'"
        " FROM unnest(ARRAY['new', 'newer']) AS code, generate_series(0, 1) AS step"
    )
    connection.execute("DELETE FROM production_runs WHERE run_code = 'new'")

    of_steps = [event for event in _events(connection) if event["entity"] == "run_step_executions"]
    inserted = [event for event in of_steps if event["operation"] == "INSERT"]
    (deleted,) = [event for event in of_steps if event["operation"] == "DELETE"]
    assert [set(event["after"]) for event in inserted] == [{"0", "1"}, {"0", "1"}]
    assert deleted["before"] in [event["after"] for event in inserted]
    assert deleted["after"] is None


def test_event_is_attributed_to_the_command_that_the_row_names(connection: psycopg.Connection) -> None:
    connection.execute(
        "UPDATE lots SET temperature_c = 3.5, command_key = md5('APPLIED')::uuid WHERE lot_code = 'RAW-1'"
    )
    connection.execute("UPDATE lots SET temperature_c = 3.6 WHERE lot_code = 'RAW-1'")
    connection.execute(
        "UPDATE run_step_executions SET operator_id = NULL,"
        " command_key = CASE step_index WHEN 0 THEN md5('APPLIED')::uuid END WHERE run_id = md5('running')::uuid"
    )

    by_command, by_hand, *of_steps = _events(connection)

    key, admin = connection.execute("SELECT md5('APPLIED')::uuid, md5('admin')::uuid").fetchone()
    assert (by_command["command_key"], by_command["command"], by_command["actor"]) == (key, "hold_run", admin)
    assert (by_hand["command_key"], by_hand["command"], by_hand["actor"]) == (None, None, None)
    assert {event["command_key"]: len(event["after"]) for event in of_steps} == {key: 1, None: 10}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg, command_key)"
        " VALUES (md5('RAW-2')::uuid, md5('boned lot')::uuid, 2, {})",
        "INSERT INTO qc_decisions (lot_id, decision, command_key) VALUES (md5('raw lot')::uuid, 'PASS', {})",
    ],
)
def test_what_is_written_once_names_its_command_too(connection: psycopg.Connection, statement: str) -> None:
    connection.execute(statement.format("md5('APPLIED')::uuid"))
    connection.execute(statement.format("NULL"))

    by_command, by_hand = _events(connection)

    key, admin = connection.execute("SELECT md5('APPLIED')::uuid, md5('admin')::uuid").fetchone()
    assert (by_command["command_key"], by_command["command"], by_command["actor"]) == (key, "hold_run", admin)
    assert (by_hand["command_key"], by_hand["command"], by_hand["actor"]) == (None, None, None)


def test_deletion_is_not_attributed_to_the_last_command(connection: psycopg.Connection) -> None:
    connection.execute(
        "UPDATE flow_versions SET status = 'REVIEW', command_key = md5('APPLIED')::uuid WHERE id = md5('draft')::uuid"
    )
    connection.execute("DELETE FROM flow_versions WHERE id = md5('draft')::uuid")

    by_command, by_hand = _events(connection)

    assert by_command["actor"] is not None
    assert (by_hand["operation"], by_hand["command_key"], by_hand["actor"]) == ("DELETE", None, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lots SET status = status, weight_kg = weight_kg",
        "UPDATE run_step_executions SET status = status",
        "UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'none such'",
        "UPDATE users SET last_login = now()",
    ],
)
def test_nothing_changed_leaves_no_event(connection: psycopg.Connection, statement: str) -> None:
    connection.execute("UPDATE lots SET command_key = md5('APPLIED')::uuid, temperature_c = 1")
    before = len(_events(connection))

    connection.execute(statement)

    assert len(_events(connection)) == before


def test_steps_that_stay_as_they_are_are_left_out(connection: psycopg.Connection) -> None:
    connection.execute(
        "UPDATE run_step_executions SET operator_id = CASE step_index WHEN 0 THEN NULL ELSE operator_id END"
        " WHERE run_id = md5('running')::uuid"
    )

    (event,) = _events(connection)
    assert list(event["after"]) == ["0"]


def test_a_changed_id_shows_as_one_gone_and_one_come(connection: psycopg.Connection) -> None:
    connection.execute("ALTER TABLE qc_decisions DISABLE TRIGGER guard_qc_decisions_kept")
    connection.execute("UPDATE qc_decisions SET id = gen_random_uuid() WHERE id = md5('decision')::uuid")

    gone, come = sorted(_events(connection), key=lambda event: event["before"] is None)

    assert (gone["after"], come["before"]) == (None, None)
    assert gone["before"]["lot_id"] == come["after"]["lot_id"]


def test_event_says_who_was_connected(connection: psycopg.Connection) -> None:
    connection.execute("UPDATE users SET full_name = 'Somebody'")

    (event,) = _events(connection)
    assert connection.execute("SELECT session_user").fetchone() == (event["db_user"],)


def test_one_statement_over_many_rows_leaves_an_event_for_each(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO users (id, email, role)"
        " SELECT md5(n::text)::uuid, n || '@plant.example', 'VIEWER' FROM generate_series(1, 500) AS n"
    )
    connection.execute("UPDATE users SET role = 'OPERATOR' WHERE role = 'VIEWER'")

    updated = [event for event in _events(connection) if event["operation"] == "UPDATE"]

    assert len({event["entity_id"] for event in updated}) == len(updated) == 500
    assert all(event["before"]["email"] == event["after"]["email"] for event in updated)


def test_what_is_deleted_from_the_ledger_is_an_event(connection: psycopg.Connection) -> None:
    connection.execute("DELETE FROM commands WHERE status = 'QUEUED' OR status = 'WAITING'")
    connection.execute("DELETE FROM commands WHERE status = 'none such'")

    (event,) = _events(connection)
    keys = sorted(
        row for (row,) in connection.execute("SELECT md5(s)::uuid::text FROM unnest(ARRAY['QUEUED', 'WAITING']) AS s")
    )
    assert (event["entity"], event["operation"], str(event["entity_id"])) == ("commands", "DELETE", keys[0])
    assert (event["before"]["deleted"], event["before"]["keys"]) == (2, keys)
