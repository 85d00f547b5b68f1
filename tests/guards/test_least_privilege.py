"""A login that may write what the plant makes and read nothing else is held by the guards, and by no missing right."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL
from tests.servers import Servers, conninfo

RIGHTS = [
    "INSERT ON production_runs, lots, lot_genealogy, qc_decisions",
    "SELECT (id), UPDATE (operator_id) ON run_step_executions",
    "SELECT (run_code), UPDATE (status, status_reason) ON production_runs",
    "SELECT (id, lot_code), UPDATE (status, status_reason, weight_kg) ON lots",
]
MAY = [
    "INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', md5('published')::uuid)",
    "UPDATE production_runs SET status = 'HOLD', status_reason = 'belt is torn' WHERE run_code = 'running'",
    "UPDATE run_step_executions SET operator_id = NULL WHERE id = md5('running 1')::uuid",
    "INSERT INTO lots (lot_code, lot_type, production_run_id) VALUES ('new', 'RAW', md5('running')::uuid)",
    "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'RAW-1'",
    "UPDATE lots SET weight_kg = 9 WHERE lot_code = 'RAW-2'",
    "UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'RAW-2'",
    "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
    " VALUES (md5('RAW-2')::uuid, md5('boned lot')::uuid, 1)",
    "WITH passed AS (INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('raw lot')::uuid, 'PASS'))"
    " UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'RAW-1'",
]


@pytest.fixture(scope="module")
def parent_system(plant_url: URL, servers: Servers) -> Iterator[psycopg.Connection]:
    name, password = f"parent_{secrets.token_hex(4)}", secrets.token_hex()
    login = sql.Identifier(name)
    servers.administrator.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(login, password))
    with psycopg.connect(conninfo(plant_url)) as owner:
        for rights in RIGHTS:
            owner.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(rights), login))
    with psycopg.connect(conninfo(plant_url.set(username=name, password=password))) as connection:
        yield connection
    with psycopg.connect(conninfo(plant_url)) as owner:
        for rights in RIGHTS:
            owner.execute(sql.SQL("REVOKE {} FROM {}").format(sql.SQL(rights), login))
    servers.administrator.execute(sql.SQL("DROP ROLE {}").format(login))


@pytest.mark.parametrize("statement", MAY)
def test_it_may_what_it_was_given(parent_system: psycopg.Connection, statement: str) -> None:
    with parent_system.transaction(force_rollback=True):
        assert parent_system.execute(statement).rowcount == 1
        parent_system.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_it_is_held_by_the_guards(parent_system: psycopg.Connection) -> None:
    parent_system.execute("UPDATE lots SET status = 'RELEASED' WHERE lot_code = 'RAW-1'")
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        parent_system.commit()
    assert refused.value.diag.constraint_name == "guard_lots_released"
