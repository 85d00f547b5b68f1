"""What the database refuses by name becomes a code, or decides nothing: every breach that the guards' tests know."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError
from tests import guards
from tests.guards.sections import SECTIONS, Section
from tests.servers import Servers, fresh_database

from runworker.engine.constraints import CODES_OF_CONSTRAINTS, as_rejection, is_passing

PLANT = Path(*guards.__path__) / "plant.sql"


@pytest.fixture(scope="module")
def breakable_plant(servers: Servers, template_database: str) -> Iterator[Connection]:
    """A connection to a database with a row or more in every table."""
    with fresh_database(servers, template=template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        # Without parameters, so that a per cent sign is one.
        with engine.connect().execution_options(no_parameters=True) as connection:
            connection.exec_driver_sql(PLANT.read_text())
            connection.commit()
            yield connection


@pytest.fixture
def breakable(breakable_plant: Connection) -> Iterator[Connection]:
    """The same, with what the test did undone."""
    yield breakable_plant
    breakable_plant.rollback()


# Keys, which the guards' tests leave to PostgreSQL.
KEYS = {
    "pk_production_runs": "INSERT INTO production_runs (id, run_code, flow_version_id)"
    " SELECT id, 'new', flow_version_id FROM production_runs WHERE run_code = 'running'",
    "fk_production_runs_scenario_id": "UPDATE production_runs SET scenario_id = gen_random_uuid()"
    " WHERE status = 'RUNNING'",
    "fk_production_runs_operator_id": "UPDATE production_runs SET operator_id = gen_random_uuid()"
    " WHERE status = 'RUNNING'",
    "fk_production_runs_started_by": "UPDATE production_runs SET started_by = gen_random_uuid()"
    " WHERE status = 'RUNNING'",
    "fk_run_step_executions_operator_id": "UPDATE run_step_executions SET operator_id = gen_random_uuid()"
    " WHERE run_id = md5('running')::uuid",
    "pk_lots": "INSERT INTO lots (id, lot_code) SELECT id, 'new' FROM lots LIMIT 1",
    "fk_lots_supplier_id": "INSERT INTO lots (lot_code, supplier_id) VALUES ('new', gen_random_uuid())",
    "fk_lots_operator_id": "INSERT INTO lots (lot_code, operator_id) VALUES ('new', gen_random_uuid())",
    "fk_qc_decisions_operator_id": "INSERT INTO qc_decisions (lot_id, decision, operator_id)"
    " SELECT id, 'PASS', gen_random_uuid() FROM lots WHERE status = 'QUARANTINE' LIMIT 1",
    "fk_flow_versions_reviewed_by": "UPDATE flow_versions SET reviewed_by = gen_random_uuid() WHERE status = 'DRAFT'",
    "fk_flow_versions_published_by": "UPDATE flow_versions SET published_by = gen_random_uuid() WHERE status = 'DRAFT'",
    "fk_qc_decisions_qc_gate_id": "INSERT INTO qc_decisions (lot_id, decision, qc_gate_id)"
    " SELECT id, 'PASS', gen_random_uuid() FROM lots WHERE status = 'QUARANTINE' LIMIT 1",
}
BREACHES = [*SECTIONS, *(Section("", name, "", (statement,)) for name, statement in KEYS.items())]


@pytest.mark.parametrize("breach", BREACHES, ids=str)
def test_a_breach_becomes_the_rules_code_or_decides_nothing(breakable: Connection, breach: Section) -> None:
    *preparation, violation = breach.statements
    for statement in preparation:
        breakable.exec_driver_sql(statement)
    with pytest.raises(DBAPIError) as error:
        breakable.exec_driver_sql(violation)
    rejection = as_rejection(error.value)
    if breach.name not in CODES_OF_CONSTRAINTS:
        assert rejection is None
        assert is_passing(error.value)
        return
    assert rejection is not None
    assert rejection.code is CODES_OF_CONSTRAINTS[breach.name]
    assert rejection.message.startswith("the database refused: ")
    assert f"({breach.name})" in rejection.message


def test_every_translated_constraint_is_broken_somewhere() -> None:
    assert CODES_OF_CONSTRAINTS.keys() <= {breach.name for breach in BREACHES}
