"""`runworker health` proves that a worker takes messages and reaches PostgreSQL, not that a process is alive."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.command_line import CommandLine
from tests.crew import Crew

from runworker.workers import WorkerProcess

IN_TIME = 60.0
"""Seconds for a command that was told to wait for one; the rest is Python's own start."""


@pytest.fixture
def worker(crew: Crew) -> WorkerProcess:
    return crew.hire()


@pytest.fixture
def command_line(crew: Crew, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, database_url=crew.plant.url, broker_url=crew.broker_url)


def test_worker_that_takes_messages_is_healthy(command_line: CommandLine, worker: WorkerProcess) -> None:
    asked = command_line.finished("health", "--worker", worker.name, "--timeout", "30")

    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.startswith(f"{worker.name} answered after ")


def test_nobody_under_that_name(command_line: CommandLine) -> None:
    began = time.monotonic()

    asked = command_line.finished("health", "--timeout", "1")

    assert (asked.returncode, asked.stdout) == (1, "")
    assert f"celery@{socket.gethostname()} gave no answer within 1 s" in asked.stderr
    assert time.monotonic() - began < IN_TIME


def test_process_that_lives_and_takes_nothing(command_line: CommandLine, worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        asked = command_line.finished("health", "--worker", worker.name, "--timeout", "1")
        assert asked.returncode == 1
    finally:
        os.kill(worker.pid, signal.SIGCONT)

    # The question it slept through has lapsed and stands in nobody's way.
    again = command_line.finished("health", "--worker", worker.name, "--timeout", "30")
    assert again.returncode == 0, again.stderr


def test_worker_without_its_database(command_line: CommandLine, crew: Crew) -> None:
    worker = crew.hire(database_url=SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/nothing"), retry_seconds=1)

    asked = command_line.finished("health", "--worker", worker.name, "--timeout", "3")

    assert (asked.returncode, asked.stdout) == (1, "")


def test_broker_that_is_not_there(command_line: CommandLine) -> None:
    command_line.settings["broker_url"] = "redis://127.0.0.1:1/0"
    began = time.monotonic()

    asked = command_line.finished("health", "--timeout", "1")

    assert (asked.returncode, asked.stdout) == (1, "")
    assert "Connection refused" in asked.stderr
    assert "Traceback" not in asked.stderr
    assert time.monotonic() - began < IN_TIME


def test_no_broker_at_all(command_line: CommandLine) -> None:
    del command_line.settings["broker_url"]
    command_line.settings["data_dir"] = str(command_line.folder / "nothing")

    asked = command_line.finished("health")

    assert asked.returncode == 1
    assert "RUNWORKER_BROKER_URL" in asked.stderr
