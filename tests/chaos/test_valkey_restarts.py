"""The broker goes away and comes back: workers go on consuming, and what was accepted is done.

Workers that stop consuming after a reconnect were Celery's worst bug for years (#8030, #8091, #9054, #10205).
"""

import subprocess
import sys
import threading
from collections.abc import Sequence
from uuid import uuid4

import pytest
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.chaos.conftest import Site, crash
from tests.crew import ALONE, PREFORK, THREADS, eventually
from tests.plant import STEPS

from runworker.client import Client, enqueue
from runworker.workers import environment_of
from runworker.workers.processes import SOLO, STOP_SECONDS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

STORED = "SELECT FROM commands WHERE idempotency_key = :key"
DECIDED = f"{STORED} AND decided_at IS NOT NULL"


@pytest.mark.parametrize("pool", [SOLO, PREFORK, THREADS], ids=["solo", "prefork", "threads"])
def test_workers_go_on_consuming_after_many_restarts(site: Site, pool: Sequence[str]) -> None:
    crew = site.crew
    worker = crew.hire(pool)
    for round_ in range(4):
        crew.wait_until_idle()
        if round_ % 2:
            crash(site.valkey)
        else:
            site.valkey.stop()
        site.start_valkey()
        results = [crew.send("start_run") for _ in range(12)]
        assert [crew.verdict(result)["status"] for result in results] == ["APPLIED"] * 12
    assert worker.exit_code is None
    crew.wait_until_idle()
    assert site.plant.count("production_runs") == 4 * 12


def test_what_the_broker_has_accepted_outlasts_its_restarts(site: Site) -> None:
    crew = site.crew
    worker = crew.hire(PREFORK)
    run = started(crew)
    with locked(crew, run):
        in_work = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        results = [crew.send("advance_step", run_id=run, to_step_index=STEPS[2]) for _ in range(12)]
        eventually(lambda: crew.held() > 2, "unacked messages")
        site.valkey.stop()
        site.start_valkey()
        assert crew.in_broker() == 1 + len(results)
    crew.applied(in_work.id)
    for result in results:
        eventually(lambda key=result.id: site.plant.sql(DECIDED, key=key), "each command decided")
    assert site.plant.count("commands", "status = 'APPLIED' AND command = 'advance_step'") == 2
    crew.wait_until_idle()
    assert worker.exit_code is None


def test_commands_in_the_ledger_need_no_broker(site: Site) -> None:
    crew, plant = site.crew, site.plant
    worker = crew.hire()
    run = started(crew)
    early = crew.send("advance_step", run_id=run, to_step_index=STEPS[2])
    assert crew.verdict(early)["status"] == "WAITING"
    site.valkey.stop()

    keys = [plant.queue("start_run") for _ in range(3)]
    released_by = plant.queue("advance_step", run_id=run, to_step_index=STEPS[1])
    for key in (*keys, released_by, early.id):
        crew.applied(str(key))
    assert worker.exit_code is None

    site.start_valkey()
    with Client(crew.broker_url, issued_by=plant.user("ADMIN")) as client:
        assert client.verdicts(*keys, released_by)[released_by].status == "APPLIED"
        assert client.start_run(flow_version_id=plant.version()).wait().status == "APPLIED"
    assert not plant.count("dead_letters")


def test_a_client_waits_through_a_restart(site: Site) -> None:
    crew = site.crew
    crew.hire()
    with Client(crew.broker_url, issued_by=site.plant.user("ADMIN")) as client:
        run = client.start_run(flow_version_id=site.plant.version()).wait().run_id
        assert run is not None
        early = client.advance_step(run_id=run, to_step_index=STEPS[2])
        told = []
        waiting = threading.Thread(target=lambda: told.append(early.wait(timeout=180)))
        waiting.start()
        eventually(lambda: site.plant.sql(STORED, key=early.idempotency_key), "the command waiting")
        site.valkey.stop()
        site.start_valkey()
        client.advance_step(run_id=run, to_step_index=STEPS[1])
        waiting.join()
        assert [verdict.status for verdict in told] == ["APPLIED"]


def test_a_worker_may_start_before_its_servers(site: Site) -> None:
    crew = site.crew
    fields = site.plant.fields("start_run")
    site.valkey.stop()
    site.postgres.stop()
    command = [sys.executable, "-m", "celery", "-A", "runworker.app", "worker", "--pool", "solo", *ALONE]
    with (
        crew.log.open("wb") as log,
        subprocess.Popen(
            command, env=environment_of(crew.settings), stdout=log, stderr=log, cwd=crew.log.parent
        ) as worker,
    ):
        try:
            eventually(lambda: "Cannot connect" in crew.written(), "the worker looking for its broker")
            site.start_valkey()
            crew.upstream.send_task("runworker.start_run", kwargs=fields, task_id=fields["idempotency_key"])
            eventually(lambda: "postgresql-away" in crew.written(), "the worker looking for PostgreSQL")
            site.start_postgres()
            crew.applied(fields["idempotency_key"])
        finally:
            worker.terminate()
            worker.wait(STOP_SECONDS)
    assert worker.returncode == 0


def test_commands_in_the_ledger_outlast_restarts_and_a_loss_of_everything(site: Site) -> None:
    """Two workers share them meanwhile. Each takes effect once, and each waits for its turn where it has to."""
    crew, plant = site.crew, site.plant
    workers = [crew.hire(), crew.hire(PREFORK)]
    runs = [uuid4() for _ in range(60)]
    for round_ in range(5):
        with plant.transaction() as upstream:
            for command in (each for run in runs[round_::5] for each in plant.life(run)):
                enqueue(upstream, command)
        if round_ == 2:
            crew.redis.flushall()
        elif round_ % 2:
            crash(site.valkey)
            site.start_valkey()
        else:
            site.valkey.stop()
            site.start_valkey()
    eventually(lambda: not plant.count("commands", "status <> 'APPLIED'"), "all applied")
    assert {plant.run(run)[0] for run in runs} == {"COMPLETED"}
    assert plant.count("audit_events", "entity = 'production_runs'") == plant.count("commands") == 60 * 5
    assert [worker.exit_code for worker in workers] == [None, None]
