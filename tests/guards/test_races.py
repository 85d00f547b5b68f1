"""Guards that read another row hold it: what is being changed at the same moment is waited for."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import make_url

PLANT = """
INSERT INTO flow_definitions (id, name) VALUES (md5('flow')::uuid, '{}');
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
VALUES (md5('version')::uuid, md5('flow')::uuid, 1, 'PUBLISHED', '{}');
INSERT INTO production_runs (id, run_code, flow_version_id, status)
VALUES (md5('run')::uuid, 'run', md5('version')::uuid, 'RUNNING');
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at)
VALUES (md5('run')::uuid, 0, 'only one', 'IN_PROGRESS', now());
UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now();
"""
START = (
    "INSERT INTO production_runs (run_code, flow_version_id, status) VALUES ('new', md5('version')::uuid, 'RUNNING')"
)
DEPRECATE = "UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('version')::uuid"
COMPLETE = "UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now()"
REOPEN = "UPDATE run_step_executions SET status = 'IN_PROGRESS', completed_at = NULL"

Connect = Callable[[], psycopg.Connection]


@pytest.fixture
def connect(database_url: str) -> Iterator[Connect]:
    conninfo = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as opened:

        def open_one() -> psycopg.Connection:
            return opened.enter_context(psycopg.connect(conninfo))

        with open_one() as first:
            first.execute(PLANT)
        yield open_one


def _begin(
    worker: ThreadPoolExecutor, waiting: psycopg.Connection, statement: str, watcher: psycopg.Connection
) -> Future[None]:
    """Start `statement` in another thread and return once PostgreSQL reports that it waits for a lock."""

    def run() -> None:
        with waiting:
            waiting.execute(statement)

    future = worker.submit(run)
    while not future.done():
        (blocked,) = watcher.execute(
            "SELECT cardinality(pg_blocking_pids(%s)) > 0", [waiting.info.backend_pid]
        ).fetchone()
        watcher.rollback()
        if blocked:
            break
    return future


@pytest.mark.parametrize(
    ("first", "second", "refused_by"),
    [
        (DEPRECATE, START, "guard_production_runs_pin"),
        (START, DEPRECATE, None),
        (COMPLETE, REOPEN, "guard_run_step_executions_finished"),
    ],
    ids=["start waits for a deprecation", "deprecation waits for a start", "a step waits for its run's completion"],
)
def test_second_waits_for_the_first_and_sees_what_it_did(
    connect: Connect, first: str, second: str, refused_by: str | None
) -> None:
    one, other, watcher = connect(), connect(), connect()
    one.execute(first)
    with ThreadPoolExecutor(1) as worker:
        future = _begin(worker, other, second, watcher)
        assert not future.done(), "it did not wait"
        one.commit()
        if refused_by is None:
            future.result(timeout=30)
        else:
            with pytest.raises(psycopg.errors.CheckViolation) as refused:
                future.result(timeout=30)
            assert refused.value.diag.constraint_name == refused_by
