"""`runworker up`: everything from one command, and nothing left of it afterwards, however it ends."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.servers import conninfo

from runworker.client import Client
from runworker.embedded import find_running, temporary_directory
from runworker.migrations import check

SECONDS = 180


class Up:
    """A running `runworker up`. told: what it printed once everything was there, by its first word."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        self.errors = errors
        self.told: dict[str, str] = {}
        assert process.stdout is not None
        while "Workers" not in self.told:
            line = process.stdout.readline()
            assert line, errors.read_text("utf-8")
            name, _, value = line.partition(" ")
            self.told[name] = value.strip()
        self.children = {pid: os.pidfd_open(pid) for pid in children_of(process.pid)}

    def signal(self, number: signal.Signals) -> None:
        """To the whole group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def ended(self) -> int:
        """Wait until it has ended, and every process that it started as well. Returns the exit code."""
        self.process.wait(SECONDS)
        for pid, descriptor in self.children.items():
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)  # readable once the process has ended
            assert poll.poll(SECONDS * 1000), f"{pid} outlived its owner"
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        for descriptor in self.children.values():
            os.close(descriptor)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()]


def workers_of(up: Up) -> list[int]:
    return [pid for pid in up.children if b"runworker.workers.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextmanager
def running(command_line: CommandLine, *arguments: str) -> Iterator[Up]:
    errors = command_line.folder / "errors"
    with errors.open("ab") as stderr:
        process = command_line.process("up", *arguments, stderr=stderr)
    up = Up(process, errors)
    try:
        yield up
    finally:
        up.close()


@pytest.fixture
def embedded(command_line: CommandLine) -> Iterator[CommandLine]:
    """Commands of somebody who has named no servers."""
    with temporary_directory() as directory:
        command_line.settings = {"data_dir": str(directory)}
        yield command_line


def servers(command_line: CommandLine) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(command_line.settings["data_dir"], "servers.json").read_text("utf-8"))
    return record


def test_from_nothing_to_a_verdict_and_back_to_nothing(embedded: CommandLine) -> None:
    with running(embedded, "--workers", "2") as up:
        record = servers(embedded)
        assert ":***@127.0.0.1:" in up.told["PostgreSQL"]
        assert up.told["PostgreSQL"].rpartition("@")[2] == record["database_url"].rpartition("@")[2]
        assert up.told["Redis"].rpartition("@")[2] == record["broker_url"].rpartition("@")[2]
        assert up.told["Passwords"].startswith(f"{embedded.settings['data_dir']}/servers.json")
        assert len(workers_of(up)) == 2
        user_id = embedded.json("user", "add", "anna@plant.example", "--role", "ADMIN")["user_id"]
        flow = embedded.json("flow", "import", "--canonical", "--publish", "--as", "anna@plant.example")
        with Client(record["broker_url"], issued_by=user_id) as client:
            verdict = client.start_run(flow_version_id=flow["flow_version_id"]).wait(SECONDS)
        assert verdict.status == "APPLIED"
        up.signal(signal.SIGINT)
        assert up.ended() == 130
        said = up.errors.read_text("utf-8")
    assert "Warm shutdown" in said
    assert "Traceback" not in said
    assert find_running(Path(embedded.settings["data_dir"])) is None


@pytest.fixture
def again(command_line: CommandLine, migrated_directory: Path) -> CommandLine:
    """Commands of somebody who has named no servers and has done this before."""
    command_line.settings = {"data_dir": str(migrated_directory)}
    return command_line


def test_a_kill_ends_everything(again: CommandLine) -> None:
    with running(again, "--workers", "1") as up:
        assert len(up.children) == 3
        up.process.kill()
        assert up.ended() == -signal.SIGKILL
    assert find_running(Path(again.settings["data_dir"])) is None


def test_a_worker_that_dies_ends_everything_with_an_error(again: CommandLine) -> None:
    with running(again) as up:
        os.kill(workers_of(up)[0], signal.SIGKILL)
        assert up.ended() == 1
        assert "runworker: the worker worker" in up.errors.read_text("utf-8")
        assert "ended by itself (exit code -9)" in up.errors.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "pid", "number"),
    [("PostgreSQL", "postgres_pid", signal.SIGQUIT), ("Valkey", "valkey_pid", signal.SIGKILL)],
)
def test_a_server_that_dies_ends_everything_with_an_error(
    again: CommandLine, name: str, pid: str, number: signal.Signals
) -> None:
    with running(again, "--workers", "1") as up:
        os.kill(servers(again)[pid], number)
        assert up.ended() == 1
        said = up.errors.read_text("utf-8")
    assert f"runworker: {name} ended by itself (exit code" in said
    assert "Traceback" not in said.partition("ended by itself")[2]
    assert find_running(Path(again.settings["data_dir"])) is None


def test_servers_that_are_named_are_used_and_left_running(
    command_line: CommandLine, empty_database_url: str, broker_url: str
) -> None:
    command_line.settings |= {"database_url": empty_database_url, "data_dir": str(command_line.folder / "data")}
    with running(command_line, "--workers", "1", "--show-secrets") as up:
        assert up.told["PostgreSQL"] == conninfo(empty_database_url)
        assert up.told["Redis"] == broker_url
        assert "Passwords" not in up.told
        assert len(up.children) == 1
        assert check(empty_database_url) == []
        up.process.terminate()
        assert up.ended() == 0
    assert not (command_line.folder / "data").exists()


def test_no_worker_starts_where_the_database_is_away(command_line: CommandLine) -> None:
    command_line.settings["database_url"] = "postgresql://plant:s3cret@127.0.0.1:1/runworker"
    done = command_line.finished("up")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Cannot connect to" in done.stderr
    assert "s3cret" not in done.stderr
