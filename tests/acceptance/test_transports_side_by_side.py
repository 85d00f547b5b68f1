"""Workers on our transport and workers on kombu's own share a queue, and take over from each other."""

import signal

import pytest
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.crew import Crew, eventually
from tests.plant import STEPS

from runworker.workers.processes import STOP_SECONDS, WorkerProcess

pytestmark = pytest.mark.timeout(180)


def test_both_kinds_of_worker_do_the_work_of_one_queue(crew: Crew) -> None:
    workers = [crew.hire(), crew.hire(reliable_transport=False)]

    def done_by(worker: WorkerProcess) -> int:
        told = crew.upstream.control.inspect(destination=[worker.name]).stats() or {}
        return sum(told.get(worker.name, {}).get("total", {}).values())

    def each_has_done_something() -> bool:
        results = [crew.send("start_run") for _ in range(20)]
        assert {crew.verdict(result)["status"] for result in results} == {"APPLIED"}
        return all(done_by(worker) for worker in workers)

    eventually(each_has_done_something, "work done by each worker")
    crew.wait_until_idle()
    assert all(worker.exit_code is None for worker in workers)


@pytest.mark.parametrize("reliable", [True, False], ids=["ours-dies", "stock-dies"])
def test_the_other_kind_takes_over_the_unacked_messages_of_a_dead_worker(crew: Crew, reliable: bool) -> None:
    first = crew.hire(reliable_transport=reliable)
    run = started(crew)
    with locked(crew, run):
        sent = [crew.send("advance_step", run_id=run, to_step_index=STEPS[1]) for _ in range(3)]
        wait_until_in_work(crew)
        first.send(signal.SIGKILL)
        first.wait(STOP_SECONDS)
        assert crew.held()
    crew.hire(reliable_transport=not reliable)
    verdicts = [crew.verdict(result) for result in sent]
    assert sorted(verdict["status"] for verdict in verdicts) == ["APPLIED", "REJECTED", "REJECTED"]
    crew.wait_until_idle()
