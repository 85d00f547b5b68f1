"""Workers as processes: started, killed, replaced, stopped, and gone with whoever started them."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.environment import settings_in
from tests.plant import Plant

from runworker.client import Client
from runworker.config import Settings
from runworker.errors import ServerError
from runworker.workers import WorkerProcess, WorkerProcesses, environment_of

SECONDS = 180


@pytest.fixture
def settings(plant: Plant, broker_url: str) -> Settings:
    return plant.settings(broker_url=broker_url)


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcesses]:
    with WorkerProcesses(settings, log=tmp_path / "workers.log") as processes:
        yield processes


def assert_ends(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)  # readable once the process has ended
    assert poll.poll(SECONDS * 1000)
    os.close(descriptor)


def test_workers_take_messages_until_they_are_stopped(
    workers: WorkerProcesses, plant: Plant, broker_url: str, tmp_path: Path
) -> None:
    workers.start(2)
    assert [worker.exit_code for worker in workers.running] == [None, None]
    with Client(broker_url, issued_by=plant.user()) as client:
        assert client.start_run(flow_version_id=plant.version()).wait(SECONDS).status == "APPLIED"
    stopped = workers.running
    workers.stop()
    assert [worker.exit_code for worker in stopped] == [0, 0]
    assert workers.running == ()
    assert "ready" in (tmp_path / "workers.log").read_text("utf-8")


@pytest.mark.usefixtures("forked_workers")
def test_a_killed_worker_is_replaced(workers: WorkerProcesses) -> None:
    workers.start(2)
    first, second = workers.running
    killed = workers.kill_one()
    assert killed is first
    assert killed.exit_code == -signal.SIGKILL
    assert workers.wait(0) is None, "who was killed on purpose has not died by itself"
    workers.start()
    assert workers.running[0] is second
    assert len({worker.name for worker in (killed, *workers.running)}) == 3


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_dies_is_noticed(workers: WorkerProcesses) -> None:
    workers.start(2)
    dying = workers.running[1]
    os.kill(dying.pid, signal.SIGKILL)
    assert workers.wait(SECONDS) is dying
    dying.wait(SECONDS)
    assert dying.exit_code == -signal.SIGKILL


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_does_not_stop_is_killed(workers: WorkerProcesses) -> None:
    workers.start()
    (stubborn,) = workers.running
    os.kill(stubborn.pid, signal.SIGSTOP)
    workers.stop(seconds=0.2)
    assert stubborn.exit_code == -signal.SIGKILL


def test_a_worker_that_cannot_start_is_told(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "workers.log"
    told = pytest.raises(ServerError, match=r"worker1@.* ended; see .*workers\.log")
    with WorkerProcesses(settings, log=log, options=("--no-such-option",)) as workers, told:
        workers.start()
    assert "No such option" in log.read_text("utf-8")


def test_a_worker_that_is_never_ready_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runworker.workers.processes.READY_SECONDS", 0.01)
    with WorkerProcesses(settings, log=tmp_path / "workers.log") as workers:
        with pytest.raises(ServerError, match="did not take messages within"):
            workers.start()
        (slow,) = workers.running
        workers.stop()
    assert slow.exit_code is not None


def test_workers_start_from_the_main_thread_alone(workers: WorkerProcesses) -> None:
    refusals: list[ServerError] = []

    def work() -> None:
        with pytest.raises(ServerError) as refused:
            workers.start()
        refusals.append(refused.value)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in str(refusals[0])
    assert workers.running == ()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(settings: Settings, tmp_path: Path) -> None:
    before = open_descriptors()
    with WorkerProcesses(settings, log=tmp_path / "workers.log") as workers:
        workers.start(2)
        workers.kill_one()
    with WorkerProcesses(settings, log=tmp_path / "no" / "folder") as workers, pytest.raises(FileNotFoundError):
        workers.start()
    assert open_descriptors() == before


OWNER = """
import sys, time
from pathlib import Path
from runworker.config import Settings
from runworker.workers import WorkerProcesses

workers = WorkerProcesses(Settings.load(), log=Path("workers.log"))
workers.start()
print(workers.running[0].pid, flush=True)
time.sleep(600)
"""


def test_a_kill_of_the_owner_ends_the_worker(settings: Settings, tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment_of(settings),
    )
    assert owner.stdout is not None
    with owner:
        worker = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    assert_ends(worker)


def test_prefork_workers_end_with_all_their_processes(settings: Settings, broker_url: str, tmp_path: Path) -> None:
    prefork = ("--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle")
    with WorkerProcesses(settings, log=tmp_path / "workers.log", options=prefork) as workers:
        workers.start()
        (worker,) = workers.running
        children = [os.pidfd_open(int(pid)) for pid in children_of(worker)]
        assert len(children) == 2
        os.kill(worker.pid, signal.SIGKILL)
        assert workers.wait(SECONDS) is worker, "its pool must not keep the pipe open"
    for child in children:
        assert_ends(child)


LATE = """
import os, time
from billiard import Process
from celery.signals import worker_process_init
import runworker.app

def begin_late():
    while os.getppid() == main:
        time.sleep(0.01)
    worker_process_init.send(sender=None)
    time.sleep(600)

main = os.getpid()
child = Process(target=begin_late)
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_pool_process_that_begins_after_its_worker_was_killed_ends(settings: Settings, tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", LATE], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment_of(settings)
    )
    assert worker.stdout is not None
    with worker:
        child = os.pidfd_open(int(worker.stdout.readline()))
        worker.kill()
    assert_ends(child)


def children_of(worker: WorkerProcess) -> list[str]:
    return Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text("utf-8").split()


def test_the_environment_holds_the_settings_and_not_the_owners_url(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWORKER_MIGRATION_URL", "postgresql://owner:s3cret@h/x")
    monkeypatch.setenv("RUNWORKER_QUEUE", "another")
    monkeypatch.setenv("LANG", "hu_HU.UTF-8")
    settings = Settings(_env_file=None, database_url="postgresql://h/x", broker_url="redis://:pw@h", queue="plant")
    environment = environment_of(settings.model_copy(update={"wait_seconds": 7, "data_dir": Path("/data")}))
    assert settings_in(environment) == {
        "RUNWORKER_DATABASE_URL": "postgresql+psycopg://h/x",
        "RUNWORKER_BROKER_URL": "redis://:pw@h",
        "RUNWORKER_QUEUE": "plant",
        "RUNWORKER_WAIT_SECONDS": "7",
        "RUNWORKER_DATA_DIR": "/data",
    }
    assert environment["LANG"] == "hu_HU.UTF-8"
