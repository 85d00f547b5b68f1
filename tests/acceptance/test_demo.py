"""`runworker demo`: real servers, real workers, one of them killed; and nothing left of it, however it ends."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from tests.command_line import CommandLine
from tests.days import SMALL
from tests.plant import Plant

from runworker.cli.progress import Progress
from runworker.cli.signal_guard import SignalGuard
from runworker.config import Settings
from runworker.embedded import start_valkey, temporary_directory
from runworker.embedded.valkey import broker_url as broker_url_of
from runworker.errors import Unavailable
from runworker.simulation import WHOLE_DAY, DemoContext, DemoRequest, Report, run_demo
from runworker.simulation.delivery import DeliveryPlan
from runworker.simulation.execution import Execution
from runworker.simulation.own_queue import DemoQueue
from runworker.simulation.proof import Check

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched by Linux's means")

SECONDS = 240

FIGURES = [
    "runs",
    "completed",
    "aborted",
    "messages_sent",
    "commands_applied",
    "replays",
    "rejected",
    "worker_kills",
    "violations",
    "seconds",
]


def assert_whole(figures: dict[str, Any], runs: int) -> None:
    """Everything that holds for the figures of a demo in which nothing went wrong."""
    assert list(figures) == FIGURES
    assert (figures["runs"], figures["violations"], figures["worker_kills"]) == (runs, 0, 1)
    assert figures["completed"] + figures["aborted"] == runs
    # A kill may cost a message its only delivery, and brings others a second time.
    commands = figures["commands_applied"] + figures["rejected"]
    assert figures["messages_sent"] >= 2 * commands
    assert figures["replays"] >= figures["messages_sent"] - commands - 1
    assert 0 < figures["seconds"] < SECONDS


def test_a_demo_on_servers_of_its_own(command_line: CommandLine) -> None:
    command_line.settings = {}
    with command_line.process("demo", "--runs", "6", "--seed", "4", "--json", stderr=subprocess.PIPE) as process:
        said, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    (line,) = said.splitlines()
    assert_whole(json.loads(line), runs=6)
    assert "runworker: the seed is 4; repeat this plan with --seed 4" in errors
    assert "with SIGKILL when" in errors
    assert list(command_line.folder.iterdir()) == []


@pytest.mark.usefixtures("forked_workers")
def test_a_demo_on_named_servers_leaves_others_alone(command_line: CommandLine, plant: Plant, broker_url: str) -> None:
    command_line.json("user", "add", "anna@plant.example", "--role", "MANAGER")
    imported = command_line.json("flow", "import", "--canonical", "--publish", "--as", "anna@plant.example")
    with Redis.from_url(broker_url) as redis:
        redis.lpush("celery", b"somebody's message")
        redis.hset("unacked", "tag", b"somebody's message, taken")
        redis.zadd("unacked_index", {"tag": 1})

        told = command_line.run("demo", "--runs", "4", "--seed", "9", "--workers", "1")
        assert told.exit_code == 0, told.stderr
        assert_whole(command_line.json("demo", "--runs", "4", "--seed", "9", "--workers", "1"), runs=4)

        assert redis.lrange("celery", 0, -1) == [b"somebody's message"]
        assert redis.hkeys("unacked") == [b"tag"]
        kept = {key for key in redis.scan_iter() if not key.startswith(b"celery-task-meta-")}
        # The last is kombu's own note on the exchange that all workers of a broker share.
        assert kept <= {b"celery", b"unacked", b"unacked_index", b"_kombu.binding_deadlines"}
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    for line in ("Every run is where it has to be 0", "Runs 4", "Worker kills 1", "Violations 0"):
        assert line in lines
    assert (
        plant.sql("SELECT status FROM flow_versions WHERE id = :id", id=imported["flow_version_id"])[0].status
        == "PUBLISHED"
    )
    assert plant.count("flow_versions", "status = 'PUBLISHED'") == 3
    assert plant.count("production_runs", "run_code ~ '^RUN-[0-9]{8}-DEMO-'") == 8


@pytest.mark.usefixtures("forked_workers")
def test_a_day_of_a_plant(plant: Plant, broker_url: str, tmp_path: Path) -> None:
    on = context(plant, plant.settings(broker_url=broker_url), tmp_path, Progress(bars=False))
    report = run_demo(DemoRequest(SMALL, workers=2, seed=3), on)
    assert report.violations == []
    figures = report.figures
    assert list(figures)[: len(FIGURES)] == FIGURES
    assert_whole({name: figures[name] for name in FIGURES}, runs=5)
    for name in ("lots", "genealogy_links", "qc_decisions", "holds", "ccp_violations", "rejections", "rollbacks"):
        assert figures[name] > 0
    assert figures["mass_balance_error_kg"] == "0.00"
    assert figures["recalled_shipments"] == 1
    assert plant.count("lots", "lot_code ~ '-DEMO-'") == figures["lots"]


def test_a_day_is_asked_for_by_an_option(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[DemoRequest] = []

    def run_demo(request: DemoRequest, _: DemoContext) -> Report:
        asked.append(request)
        return Report({"violations": 0}, [])

    monkeypatch.setattr("runworker.simulation.run_demo", run_demo)
    for options in (["--day"], ["--runs", "5"], []):
        assert command_line.run("demo", *options, "--seed", "7", "--workers", "3", "--json").exit_code == 0
    assert asked == [DemoRequest(runs, workers=3, seed=7) for runs in (WHOLE_DAY, 5, 20)]
    refused = command_line.run("demo", "--day", "--runs", "3")
    assert refused.exit_code == 2
    assert "leave one of --day and --runs out" in refused.stderr


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()]


def workers_among(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if b"runworker.workers.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


class Running:
    """A running demo whose workers have begun. children: pid to pidfd, of workers and servers."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        self.errors = errors
        deadline = time.monotonic() + SECONDS
        while "messages, shuffled, to" not in self.said():
            assert process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        self.children = {child: os.pidfd_open(child) for child in children_of(process.pid)}
        self.directories = {Path(f"/proc/{child}/cwd").readlink() for child in self.children} - {errors.parent}

    def said(self) -> str:
        return self.errors.read_text("utf-8")

    def ended(self) -> int:
        """Wait until it has ended, and all that it started with it. Returns the exit code."""
        self.process.wait(SECONDS)
        for pid, descriptor in self.children.items():
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)  # readable once the process has ended
            assert poll.poll(SECONDS * 1000), f"{pid} outlived the demo"
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        for descriptor in self.children.values():
            os.close(descriptor)


@contextmanager
def running(command_line: CommandLine, *arguments: str) -> Iterator[Running]:
    errors = command_line.folder / "errors"
    with errors.open("ab") as stderr:
        process = command_line.process("demo", *arguments, stderr=stderr)
    demo = Running(process, errors)
    try:
        yield demo
    finally:
        demo.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_of_it(command_line: CommandLine, number: signal.Signals, code: int) -> None:
    command_line.settings = {}
    with running(command_line, "--runs", "500", "--json") as demo:
        assert len(workers_among(demo.children)) == 2
        assert len(demo.children) == 4
        os.killpg(demo.process.pid, number)  # as a terminal does
        assert demo.ended() == code
        assert "Traceback" not in demo.said()
        assert demo.directories
        assert not any(directory.exists() for directory in demo.directories)
        assert demo.process.stdout is not None
        assert demo.process.stdout.read() == ""


def test_a_worker_that_dies_by_itself_is_an_error(command_line: CommandLine) -> None:
    with running(command_line, "--runs", "60", "--json") as demo:
        os.kill(workers_among(demo.children)[-1], signal.SIGTERM)
        assert demo.ended() == 1
        assert "ended by itself, with exit code" in demo.said()
        assert "The end of" in demo.said()


def test_violations_are_told_and_end_in_exit_code_1(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tuple(f"step {number} is not in order" for number in range(60))
    told = Report({"runs": 1, "violations": 60}, [Check("Steps", found)])
    monkeypatch.setattr("runworker.simulation.run_demo", lambda *_: told)
    ended = command_line.run("demo", "--runs", "1", "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["violations"] == 60
    assert "runworker: violation: step 49 is not in order\nrunworker: and 10 violations more" in ended.stderr


class Teller(Progress):
    """Calls somebody once the workers are there."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__(bars=False)
        self._call = call

    def say(self, line: str) -> None:
        if "messages, shuffled, to" in line:
            self._call()


def context(plant: Plant, settings: Settings, folder: Path, progress: Progress) -> DemoContext:
    database = plant.engine(database_role=None).database
    return DemoContext(settings, database, folder / "log", progress, SignalGuard().check, time.monotonic())


@pytest.mark.usefixtures("forked_workers")
def test_what_never_comes_is_not_waited_for_for_ever(plant: Plant, broker_url: str, tmp_path: Path) -> None:
    never = plant.command("hold_run", run_id=uuid4(), after=[uuid4()])
    with DemoQueue(plant.settings(broker_url=broker_url), uuid4()) as queue:
        on = context(plant, queue.settings, tmp_path, Progress(bars=False))
        result = Execution(queue, DeliveryPlan((never, never)), on).run(1)
    assert result.gave_up is not None
    assert "1 commands are not decided and 0 messages not acknowledged" in result.gave_up
    assert (result.kills, result.copies) == (0, {never.idempotency_key: 2})
    assert plant.ledger(never.idempotency_key).status == "WAITING"


def test_a_broker_that_goes_away_is_told(plant: Plant, tmp_path: Path) -> None:
    with temporary_directory() as directory:
        broker = start_valkey(directory, durable=False)

        def power_cut() -> None:
            broker.stop()
            for worker in workers_among(children_of(os.getpid())):  # they would look for it for half a minute
                os.kill(worker, signal.SIGKILL)

        try:
            settings = plant.settings(broker_url=broker_url_of(directory, broker.port))
            with pytest.raises(Unavailable, match="The broker does not do its part any more"):
                run_demo(DemoRequest(5, workers=1, seed=1), context(plant, settings, tmp_path, Teller(power_cut)))
        finally:
            broker.stop()
