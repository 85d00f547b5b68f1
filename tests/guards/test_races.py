"""Guards that read another row hold it: what is being changed at the same moment is waited for."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from tests.servers import conninfo

PLANT = """
INSERT INTO flow_definitions (id, name) VALUES (md5('flow')::uuid, '{}');
INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
VALUES (md5('version')::uuid, md5('flow')::uuid, 1, 'PUBLISHED', '{}');
INSERT INTO production_runs (id, run_code, flow_version_id, status)
VALUES (md5('run')::uuid, 'run', md5('version')::uuid, 'RUNNING');
INSERT INTO production_runs (id, run_code, flow_version_id, status)
VALUES (md5('mixing')::uuid, 'mixing', md5('version')::uuid, 'RUNNING');
INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at)
SELECT id, step, 'node',
       CASE WHEN step = 0 THEN 'IN_PROGRESS' WHEN step = 1 AND run_code = 'mixing' THEN 'PENDING' ELSE 'SKIPPED' END,
       CASE step WHEN 0 THEN now() END
FROM production_runs, generate_series(0, 10) AS step;
INSERT INTO production_runs (id, run_code, flow_version_id) VALUES (md5('idle')::uuid, 'idle', md5('version')::uuid);
INSERT INTO lots (id, lot_code, status, weight_kg, step_index, production_run_id)
VALUES (md5('parent')::uuid, 'parent', 'QUARANTINE', 10, 0, md5('mixing')::uuid),
       (md5('in run')::uuid, 'in run', 'QUARANTINE', 10, NULL, md5('run')::uuid);
INSERT INTO lots (id, lot_code, status, weight_kg)
SELECT md5(code)::uuid, code, 'QUARANTINE', 10 FROM unnest(ARRAY['child', 'a', 'b', 'c', 'd']) AS code;
INSERT INTO lots (id, lot_code, lot_type, sku_type, status, weight_kg)
VALUES (md5('fifteen')::uuid, 'fifteen', 'SKW15', '15', 'QUARANTINE', 10),
       (md5('thirty')::uuid, 'thirty', 'SKW30', '30', 'QUARANTINE', 10),
       (md5('pallet')::uuid, 'pallet', 'PAL', NULL, 'QUARANTINE', 10);
UPDATE lots SET status = 'RELEASED';
INSERT INTO qc_decisions (lot_id, decision) SELECT id, 'PASS' FROM lots;
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
VALUES (md5('a')::uuid, md5('b')::uuid, 1), (md5('c')::uuid, md5('d')::uuid, 1);
"""
PIN = "INSERT INTO production_runs (run_code, flow_version_id) VALUES ('new', md5('version')::uuid)"
DEPRECATE = "UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = md5('version')::uuid"
COMPLETE = (
    "UPDATE production_runs SET status = 'COMPLETED', completed_at = now(), ended_at = now() WHERE run_code = 'run';"
    "UPDATE run_step_executions SET status = 'COMPLETED', completed_at = now()"
    " WHERE run_id = md5('run')::uuid AND step_index = 0"
)
REOPEN = (
    "UPDATE run_step_executions SET status = 'IN_PROGRESS', completed_at = NULL"
    " WHERE run_id = md5('run')::uuid AND step_index = 0"
)
ADVANCE = (
    "UPDATE production_runs SET current_step_index = 1 WHERE run_code = 'mixing';"
    "UPDATE run_step_executions SET status = CASE step_index WHEN 0 THEN 'COMPLETED' ELSE 'IN_PROGRESS' END,"
    " started_at = now(), completed_at = CASE step_index WHEN 0 THEN now() END"
    " WHERE run_id = md5('mixing')::uuid AND step_index IN (0, 1)"
)
ABORT = (
    "UPDATE production_runs SET status = 'ABORTED', ended_at = now(), status_reason = 'power failure'"
    " WHERE run_code = 'idle'"
)
ADD_STEP = "INSERT INTO run_step_executions (run_id, step_index, node_id) VALUES (md5('idle')::uuid, 0, 'node')"
HOLD = "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'parent'"
LIGHTEN = "UPDATE lots SET weight_kg = 5 WHERE lot_code = 'parent'"
TAKE = (
    "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
    " VALUES (md5('{}')::uuid, md5('{}')::uuid, 6)"
)
TAKE_SIX = TAKE.format("parent", "child")
B_INTO_C = TAKE.format("b", "c")
D_INTO_A = TAKE.format("d", "a")
FIFTEEN = TAKE.format("fifteen", "pallet")
THIRTY = TAKE.format("thirty", "pallet")
FIFTEEN_INTO_ANY = TAKE.format("fifteen", "b")
THIRTY_INTO_ANY = TAKE.format("thirty", "b")
REJECT = (
    "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE lot_code = 'child';"
    "UPDATE lots SET status = 'REJECTED' WHERE lot_code = 'child'"
)

ADD = "INSERT INTO lots (lot_code, production_run_id) VALUES ('new', md5('run')::uuid)"
FILL = TAKE.format("parent", "in run")

JOIN = "UPDATE lots SET production_run_id = md5('run')::uuid WHERE lot_code = 'child'"

LOCKS_RUN = "trg_lots_update_hold"
"""The trigger by which a HOLD and an advance wait for each other, below."""

Connect = Callable[[], psycopg.Connection]


@pytest.fixture
def connect(database_url: str) -> Iterator[Connect]:
    with ExitStack() as opened:

        def open_one() -> psycopg.Connection:
            return opened.enter_context(psycopg.connect(conninfo(database_url)))

        with open_one() as first:
            first.execute(PLANT)
        yield open_one


def _begin(
    worker: ThreadPoolExecutor,
    waiting: psycopg.Connection,
    statement: str,
    watcher: psycopg.Connection,
    holder: psycopg.Connection,
) -> Future[None]:
    """Start `statement` in another thread and return once PostgreSQL reports that it waits for the holder."""

    def run() -> None:
        with waiting:
            waiting.execute(statement)

    future = worker.submit(run)
    while not future.done():
        (blocked,) = watcher.execute(
            "SELECT %s = ANY(pg_blocking_pids(%s))", [holder.info.backend_pid, waiting.info.backend_pid]
        ).fetchone()
        watcher.rollback()
        if blocked:
            break
    return future


@pytest.mark.parametrize(
    ("first", "second", "refused_by"),
    [
        (DEPRECATE, PIN, "guard_production_runs_pin"),
        (PIN, DEPRECATE, None),
        (COMPLETE, REOPEN, "guard_run_step_executions_finished"),
        (TAKE_SIX, TAKE_SIX, "guard_lot_genealogy_quantity"),
        (TAKE_SIX, LIGHTEN, "guard_lots_taken"),
        (LIGHTEN, TAKE_SIX, "guard_lot_genealogy_quantity"),
        (HOLD, TAKE_SIX, "guard_lot_genealogy_released"),
        (B_INTO_C, D_INTO_A, "guard_lot_genealogy_cycle"),
        (HOLD, ADVANCE, "guard_production_runs_quality"),
        (ADVANCE, HOLD, None),
        (COMPLETE, ADD, "guard_lots_finished_run"),
        (ADD, COMPLETE, None),
        (COMPLETE, JOIN, "guard_lots_finished_run"),
        (JOIN, COMPLETE, None),
        (COMPLETE, FILL, "guard_lot_genealogy_finished"),
        (FILL, COMPLETE, None),
        (ABORT, ADD_STEP, "guard_run_step_executions_added"),
        (FIFTEEN, THIRTY, "guard_lot_genealogy_sku"),
        (FIFTEEN_INTO_ANY, THIRTY_INTO_ANY, "guard_lot_genealogy_sku"),
        (REJECT, TAKE_SIX, "guard_lot_genealogy_closed"),
    ],
    ids=[
        "a new run waits for a deprecation",
        "a deprecation waits for a new run",
        "a step waits for its run's completion",
        "no kilogram is taken twice",
        "a lot that is taken from is not made lighter",
        "a lot that was made lighter is not taken from",
        "a lot on hold is not taken from",
        "two links that share no lot close no cycle together",
        "an advance waits for a hold",
        "a hold waits for an advance",
        "a new lot waits for its run's completion",
        "a completion waits for a new lot",
        "a lot that is given its run waits for the run's completion",
        "a completion waits for a lot that is given its run",
        "material waits for the completion of its new lot's run",
        "a completion waits for material of the run's lots",
        "a step, when it is committed, waits for the end of its run",
        "two sessions do not put both SKUs onto one pallet",
        "nor into a lot without a type",
        "nothing goes into a lot that is being rejected",
    ],
)
def test_second_waits_for_the_first_and_sees_what_it_did(
    connect: Connect, first: str, second: str, refused_by: str | None
) -> None:
    one, other, watcher = connect(), connect(), connect()
    one.execute(first)
    with ThreadPoolExecutor(1) as worker:
        future = _begin(worker, other, second, watcher, one)
        assert not future.done(), "it did not wait"
        one.commit()
        if refused_by is None:
            future.result(timeout=120)
        else:
            with pytest.raises(psycopg.errors.CheckViolation) as refused:
                future.result(timeout=120)
            assert refused.value.diag.constraint_name == refused_by
