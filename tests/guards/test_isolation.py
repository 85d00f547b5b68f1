"""A guard that reads other rows refuses isolation levels under which it would see them as they were."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import URL
from tests.servers import conninfo

READ_OTHER_ROWS = [
    "INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', md5('published')::uuid)",
    "UPDATE production_runs SET current_step_index = 3 WHERE run_code = 'running'",
    "UPDATE production_runs SET status = 'RUNNING' WHERE run_code = 'idle'",
    "UPDATE run_step_executions SET operator_id = NULL WHERE id = md5('running 1')::uuid",
    "INSERT INTO lots (lot_code, production_run_id) VALUES ('new', md5('running')::uuid)",
    "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'RAW-1'",
    "UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'RAW-2'",
    "UPDATE lots SET weight_kg = 9 WHERE lot_code = 'RAW-2'",
    "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
    " VALUES (md5('RAW-2')::uuid, md5('boned lot')::uuid, 1)",
]


@pytest.fixture(params=["REPEATABLE_READ", "SERIALIZABLE"])
def isolated(request: pytest.FixtureRequest, plant_url: URL) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo(plant_url)) as connection:
        connection.isolation_level = psycopg.IsolationLevel[request.param]
        yield connection
        connection.rollback()


@pytest.mark.parametrize("statement", READ_OTHER_ROWS)
def test_it_is_refused_with_a_reason(isolated: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InvalidTransactionState, match="would not see what others commit") as refused:
        isolated.execute(statement)

    assert refused.value.diag.constraint_name == "guard_isolation"


def test_what_concerns_one_row_alone_is_not(isolated: psycopg.Connection) -> None:
    assert isolated.execute("UPDATE lots SET temperature_c = 2 WHERE lot_code = 'RAW-1'").rowcount == 1
