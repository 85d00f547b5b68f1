"""The worker's login writes its tables and can neither drop, truncate, delete nor disable."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import URL
from tests.servers import conninfo

REFUSED = [
    "DROP TABLE audit_events",
    "DROP TABLE production_runs CASCADE",
    "DROP TRIGGER trg_production_runs_guard ON production_runs",
    "DROP FUNCTION guard_production_run() CASCADE",
    "DROP INDEX uq_flow_versions_one_published",
    "CREATE OR REPLACE FUNCTION guard_production_run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TABLE mine (id integer)",
    "ALTER TABLE production_runs DISABLE TRIGGER ALL",
    "ALTER TABLE production_runs DISABLE TRIGGER trg_production_runs_guard",
    "ALTER TABLE production_runs DROP CONSTRAINT ck_production_runs_status",
    "SET session_replication_role = replica",
    "TRUNCATE audit_events",
    "TRUNCATE commands",
    "TRUNCATE production_runs CASCADE",
    "DELETE FROM audit_events",
    "DELETE FROM commands",
    "DELETE FROM production_runs",
    "DELETE FROM run_step_executions",
    "DELETE FROM lots",
    "DELETE FROM flow_versions",
    "DELETE FROM lot_genealogy",
    "DELETE FROM qc_decisions",
    "UPDATE lot_genealogy SET quantity_used_kg = 1",
    "UPDATE qc_decisions SET decision = 'PASS'",
    "UPDATE flow_versions SET graph_schema = '{}' WHERE id = md5('draft')::uuid",
    "INSERT INTO audit_events (entity, entity_id, operation, db_user, xact_id)"
    " VALUES ('lots', gen_random_uuid(), 'INSERT', 'nobody', 1)",
    "UPDATE audit_events SET actor = NULL",
    "UPDATE audit_seals SET events = 0",
    "INSERT INTO audit_archives (month, first_seal_id, last_seal_id, first_event_id, last_event_id, events, file_name,"
    " sha256) SELECT '2026-01-01', id, id, first_event_id, last_event_id, events, 'a', '\\x01' FROM audit_seals",
    "SELECT is_forgettable(1)",
    "INSERT INTO flow_versions (flow_definition_id, version_num, status, graph_schema)"
    " VALUES (md5('other flow')::uuid, 1, 'PUBLISHED', '{}')",
    "INSERT INTO users (email, role) VALUES ('me@plant.example', 'ADMIN')",
    "UPDATE users SET role = 'ADMIN'",
    "UPDATE flow_definitions SET name = '{}'",
    "INSERT INTO suppliers (code, name) VALUES ('ME', 'Me')",
    "UPDATE scenarios SET name = '{}'",
    "UPDATE dead_letters SET replayed_at = now()",
    "UPDATE dead_letters SET discarded_at = now(), discarded_by = md5('admin')::uuid, discard_reason = 'out of sight'",
    "DELETE FROM dead_letters",
    "UPDATE alembic_version SET version_num = 'base'",
    "SELECT audit_lots_insert()",
    "SELECT enqueue_command('hold_run', '{}')",
]

ALLOWED = [
    "INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', md5('published')::uuid)",
    "UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'",
    "UPDATE run_step_executions SET operator_id = NULL WHERE id = md5('running 1')::uuid",
    "UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('published')::uuid",
    "UPDATE flow_versions SET status = 'DRAFT', reviewed_by = md5('admin')::uuid, published_by = NULL,"
    " published_at = NULL, command_key = md5('APPLIED')::uuid WHERE id = md5('review')::uuid",
    "INSERT INTO lots (lot_code) VALUES ('new')",
    "UPDATE lots SET status = 'RELEASED', status_reason = 'passed' WHERE lot_code = 'RAW-1'",
    "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'RAW-1'",
    "UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'RAW-2'",
    "SELECT FROM lots FOR UPDATE",
    "SELECT FROM flow_versions FOR UPDATE",
    "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
    " VALUES (md5('RAW-2')::uuid, md5('boned lot')::uuid, 1)",
    "INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('raw lot')::uuid, 'PASS')",
    "INSERT INTO commands (idempotency_key, command, payload) VALUES (gen_random_uuid(), 'hold_run', '{}')",
    "INSERT INTO dead_letters (body_sha256, raw_body, code, error) VALUES ('\\x02', '', 'MALFORMED_MESSAGE', '')",
    "UPDATE dead_letters SET times = times + 1, last_seen_at = now(), code = 'INTERNAL_ERROR', error = 'another'",
    "UPDATE code_counters SET last_number = last_number + 20",
    "INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)"
    " VALUES (3, 4, 2, '\\x01', '\\x02')",
    "SELECT FROM audit_events",
    "SELECT prune_commands('1 day', 1)",
    "SELECT FROM alembic_version",
    "SELECT FROM users, suppliers, scenarios, streams, phases, qc_gates, flow_definitions",
]


@pytest.fixture(scope="module")
def workers_connection(plant_url: URL, worker_login: tuple[str, str]) -> Iterator[psycopg.Connection]:
    name, password = worker_login
    with psycopg.connect(conninfo(plant_url.set(username=name, password=password))) as connection:
        yield connection


@pytest.fixture
def worker(workers_connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """In a transaction that is rolled back after the test."""
    yield workers_connection
    workers_connection.rollback()


@pytest.mark.parametrize("statement", REFUSED)
def test_worker_may_not(worker: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.execute(statement)


@pytest.mark.parametrize("statement", ALLOWED)
def test_worker_may(worker: psycopg.Connection, statement: str) -> None:
    assert worker.execute(statement).rowcount > 0


def test_worker_is_audited_under_its_own_name(worker: psycopg.Connection, worker_login: tuple[str, str]) -> None:
    worker.execute("SET ROLE runworker_worker")
    worker.execute("UPDATE lots SET temperature_c = 3 WHERE lot_code = 'RAW-1'")

    with worker.cursor(row_factory=dict_row) as cursor:
        event = cursor.execute("SELECT * FROM audit_events ORDER BY id DESC LIMIT 1").fetchone()
    assert event["db_user"] == worker_login[0]


def test_worker_cannot_put_its_own_operators_under_a_guard(worker: psycopg.Connection) -> None:
    """Guards have a search_path of their own; what stands on the session's path does not change what they compare."""
    worker.execute("CREATE TEMP TABLE flow_versions AS SELECT md5('draft')::uuid AS id, 'PUBLISHED'::text AS status")

    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        worker.execute("INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', md5('draft')::uuid)")
    assert refused.value.diag.constraint_name == "guard_production_runs_pin"
