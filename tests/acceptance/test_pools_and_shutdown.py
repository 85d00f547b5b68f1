"""Every pool works through whole lives, and a worker that is told to stop loses nothing of what it has in hand."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from pydantic import SecretStr
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.crew import PREFORK, THREADS, Crew, eventually
from tests.plant import STEPS
from tests.proofs import data_on, violations
from tests.proxy import Proxy

from runworker.commands import Command
from runworker.simulation.delivery import in_disorder
from runworker.simulation.proof import Expectation
from runworker.simulation.run_lives import build_lives
from runworker.workers import WorkerProcess
from runworker.workers.processes import SOLO, STOP_SECONDS

pytestmark = pytest.mark.timeout(120)

SEED = 20260125
every_pool = pytest.mark.parametrize("pool", [SOLO, PREFORK, THREADS], ids=["solo", "prefork", "threads"])


def sent(crew: Crew, commands: Sequence[Command]) -> None:
    for command in commands:
        key = str(command.idempotency_key)
        fields = {"idempotency_key": key, **command.payload}
        crew.upstream.send_task(f"runworker.{command.name}", kwargs=fields, task_id=key)


def undecided(crew: Crew, commands: Sequence[Command]) -> int:
    found = "SELECT FROM commands WHERE decided_at IS NOT NULL AND idempotency_key = ANY(CAST(:keys AS uuid[]))"
    return len(commands) - len(crew.plant.sql(found, keys=[command.idempotency_key for command in commands]))


@every_pool
def test_a_worker_told_to_stop_finishes_what_it_does_and_gives_back_the_rest(crew: Crew, pool: Sequence[str]) -> None:
    worker = crew.hire(pool)
    run = started(crew)
    random = Random(SEED)  # noqa: S311 - the order of a test, the same each time
    lives = build_lives(random, 5, data_on(crew.plant))
    plan = in_disorder(random, lives.commands)
    with locked(crew, run):
        in_work = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        sent(crew, plan.messages)
        if pool is SOLO:  # it is one process: while it works it takes nothing in hand
            assert crew.queued() == len(plan.messages)
        else:
            eventually(lambda: crew.held() > 2, "messages in hand")
        worker.send(signal.SIGTERM)
    worker.wait(STOP_SECONDS)
    assert worker.exit_code == 0
    assert "Error on stopping" not in crew.written()
    assert crew.held() == 0
    assert crew.plant.ledger(UUID(in_work.id)).status == "APPLIED"
    crew.hire(pool)
    eventually(lambda: not undecided(crew, lives.commands), "every command of every life decided")
    eventually(lambda: not crew.queued(), "the repeats taken as well")
    crew.wait_until_idle()
    assert violations(crew.plant, Expectation(lives, plan.copies), queue=crew.settings.queue) == []
    assert not crew.plant.count("dead_letters")


@pytest.mark.parametrize("pool", [SOLO, PREFORK], ids=["solo", "prefork"])
def test_a_cold_shutdown_loses_nothing_either(crew: Crew, pool: Sequence[str]) -> None:
    worker = crew.hire(pool)
    run = started(crew)
    with locked(crew, run):
        in_work = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        worker.send(signal.SIGQUIT)
        eventually(lambda: "Initiating Soft Shutdown" in crew.written(), "the shutdown under way")
    worker.wait(STOP_SECONDS)
    assert worker.exit_code is not None
    assert worker.exit_code >= 0, "killed, because it did not stop"
    if pool is PREFORK:  # the process that does the work has ten seconds left; that of a solo worker is interrupted
        assert crew.plant.ledger(UUID(in_work.id)).status == "APPLIED"
        assert crew.idle()
    crew.hire()
    assert crew.verdict(in_work)["status"] == "APPLIED"
    assert crew.plant.run(UUID(run))[1] == STEPS[1]


@pytest.mark.parametrize("lost", [b"nothing of ours", b"_kombu.binding"], ids=["reached", "lost again"])
def test_a_pool_process_that_dies_before_the_broker_is_reached_is_replaced(crew: Crew, lost: bytes) -> None:
    """Also where the connection breaks once more before the event loop has the pool."""
    with Proxy(crew.broker_url) as broker:
        broker.go_away()
        worker = crew.launch(PREFORK, broker_url=SecretStr(broker.url), result_backend_url=SecretStr(broker.url))
        pool = eventually(lambda: len(pids := pool_of(worker)) == 2 and pids, "its pool")
        eventually(lambda: "Cannot connect" in crew.written(), "a look for the broker")
        os.kill(pool[0], signal.SIGKILL)
        eventually(lambda: not is_alive(pool[0]), "its end")
        broker.lose_answer_to(lost)
        broker.come_back()
        assert crew.verdict(crew.send("start_run"))["status"] == "APPLIED"
        eventually(lambda: len(pool_of(worker)) == 2, "another")
        assert worker.exit_code is None


def pool_of(worker: WorkerProcess) -> list[int]:
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text("ascii").split()
    return [int(pid) for pid in children if is_alive(int(pid))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def with_its_pool_held_still(worker: WorkerProcess) -> Iterator[None]:
    pool = pool_of(worker)
    for pid in pool:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pool:
            os.kill(pid, signal.SIGCONT)


def handed_out(crew: Crew, worker: WorkerProcess) -> int:
    """How many tasks the worker has written into its pool's pipes, or begun to write."""
    writes = crew.upstream.control.inspect([worker.name], timeout=20, limit=1).stats()[worker.name]["pool"]["writes"]
    return int(writes["total"]) + int(writes["inqueues"]["active"])


@pytest.mark.parametrize("commands", [1, 500], ids=["short", "longer than a pipe"])
@pytest.mark.parametrize("batch_size", [100, 1])
def test_a_worker_told_to_stop_hears_of_what_its_processes_are_about_to_begin(
    crew: Crew, batch_size: int, commands: int
) -> None:
    worker = crew.hire(PREFORK, batch_size=batch_size)
    started(crew)
    fields = [crew.plant.fields("start_run") for _ in range(commands)]
    before = handed_out(crew, worker)
    with with_its_pool_held_still(worker):
        crew.upstream.send_task("runworker.apply", kwargs={"commands": [{"command": "start_run", **f} for f in fields]})
        eventually(lambda: handed_out(crew, worker) > before, "the message in a pipe")
        worker.send(signal.SIGTERM)
        eventually(lambda: not crew.upstream.control.ping([worker.name]), "no more answers, as the consumer has closed")
    worker.wait(STOP_SECONDS)
    assert worker.exit_code == 0
    assert crew.plant.count("commands", "status = 'APPLIED'") == 1 + commands
    assert crew.idle(), "what is done is acknowledged"
