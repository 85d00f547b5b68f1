"""Workers that die in the middle of a command: another does it, and it takes effect once."""

import os
import signal
from collections.abc import Sequence
from uuid import UUID

import pytest
from celery.result import AsyncResult
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.crew import PREFORK, Crew, eventually
from tests.plant import STEPS

from runworker.workers.processes import SOLO, STOP_SECONDS, WorkerProcess

pytestmark = pytest.mark.timeout(120)


def killed(worker: WorkerProcess) -> None:
    worker.send(signal.SIGKILL)
    worker.wait(STOP_SECONDS)
    assert worker.exit_code == -signal.SIGKILL


def children_in_work(crew: Crew, worker: WorkerProcess) -> list[int]:
    """Processes of the pool that do a task at this moment."""
    active = crew.upstream.control.inspect(destination=[worker.name]).active() or {}
    return [task["worker_pid"] for task in active.get(worker.name, [])]


def assert_one_effect(crew: Crew, sent: AsyncResult, run: str) -> None:
    """One step further, written once, and nothing left in the broker."""
    status, step, steps = crew.plant.run(UUID(run))
    assert (status, step) == ("RUNNING", STEPS[1])
    assert [steps[index] for index in STEPS] == ["COMPLETED", "IN_PROGRESS", "PENDING", "PENDING"]
    changes = crew.plant.sql(
        "SELECT FROM audit_events WHERE command_key = :key AND entity = 'production_runs'", key=sent.id
    )
    assert len(changes) == 1
    crew.wait_until_idle()


def test_what_a_killed_worker_was_applying_is_applied_by_another_once(crew: Crew) -> None:
    first = crew.hire()
    run = started(crew)
    with locked(crew, run):
        sent = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        assert crew.held() == 1
        killed(first)
        crew.hire()
        assert crew.stored_result(sent.id) is None
    assert crew.verdict(sent)["status"] == "APPLIED"
    assert_one_effect(crew, sent, run)


@pytest.mark.parametrize("pool", [SOLO, PREFORK], ids=["solo", "prefork"])
def test_a_dead_workers_messages_do_not_wait_for_the_visibility_timeout(crew: Crew, pool: Sequence[str]) -> None:
    first = crew.hire(pool, visibility_timeout_seconds=3600)
    run = started(crew)
    with locked(crew, run):
        sent = [crew.send("advance_step", run_id=run, to_step_index=STEPS[1]) for _ in range(3)]
        wait_until_in_work(crew)
        killed(first)
    crew.hire(visibility_timeout_seconds=3600)
    assert sorted(crew.verdict(each)["status"] for each in sent) == ["APPLIED", "REJECTED", "REJECTED"]
    crew.wait_until_idle()


def test_a_worker_that_is_busy_for_long_is_not_taken_for_dead(crew: Crew) -> None:
    def lease_lasts_until() -> float:
        ((_, time),) = crew.redis.zrange("unacked_leases", 0, -1, withscores=True)
        return float(time)

    crew.hire(SOLO)  # one process: while it works it cannot turn its event loop
    run = started(crew)
    with locked(crew, run):
        sent = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        before = lease_lasts_until()
        eventually(lambda: lease_lasts_until() > before + 2, "the lease prolonged, and that twice")
    assert crew.verdict(sent)["status"] == "APPLIED"
    assert_one_effect(crew, sent, run)


def test_what_was_committed_but_not_acknowledged_is_answered_and_not_done_again(crew: Crew) -> None:
    first = crew.hire()
    run = started(crew)
    with locked(crew, run):
        sent = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        # From here on the worker can neither store the result nor acknowledge.
        crew.redis.client_pause(timeout=60_000, all=False)
    try:
        crew.applied(sent.id)
        killed(first)
    finally:
        crew.redis.client_unpause()
    assert crew.held() == 1
    crew.hire()
    verdict = crew.verdict(sent)
    assert (verdict["status"], verdict["replayed"]) == ("APPLIED", True)
    assert_one_effect(crew, sent, run)
    assert crew.plant.ledger(UUID(sent.id)).deliveries == 2


def test_the_message_of_a_killed_pool_process_goes_back_at_once(crew: Crew) -> None:
    worker = crew.hire(PREFORK, visibility_timeout_seconds=3600)
    run = started(crew)
    with locked(crew, run):
        sent = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        (child,) = children_in_work(crew, worker)
        os.kill(child, signal.SIGKILL)
        # The dead one's session still waits, and so does that of the process that has the message now.
        wait_until_in_work(crew, how_often=2)
    assert crew.verdict(sent)["status"] == "APPLIED"
    assert_one_effect(crew, sent, run)
    assert worker.exit_code is None
