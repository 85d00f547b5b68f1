"""Celery's own command line on the application: what operators type, and that no secret is ever printed."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tests.crew import Crew
from tests.environment import settings_in, without_settings
from tests.fork_server import run_module

from runworker.commands import COMMANDS
from runworker.workers import environment_of

pytestmark = pytest.mark.timeout(120)

HIDDEN = "hunter2"


def celery(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`celery -A runworker.app` in a folder without .env, with these variables and no other setting of ours."""
    environment = without_settings() | variables
    return run_module("celery", "-A", "runworker.app", *arguments, folder=folder, environment=environment, seconds=180)


def told(crew: Crew, folder: Path, *arguments: str) -> str:
    """What a command on the crew's broker prints. It has to succeed."""
    ran = celery(*arguments, folder=folder, **settings_in(environment_of(crew.settings)))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def passwords(crew: Crew) -> Mapping[str, str]:
    assert crew.settings.database_url is not None
    database = make_url(crew.settings.database_url.get_secret_value()).password
    broker = make_url(crew.broker_url).password
    return {name: str(value) for name, value in (("database", database), ("broker", broker)) if value}


def test_a_worker_answers_a_ping(shared_crew: Crew, tmp_path: Path) -> None:
    (worker,) = shared_crew.workers
    answer = told(shared_crew, tmp_path, "inspect", "ping")
    assert f"{worker.name}: OK" in answer
    assert "pong" in answer


def test_a_worker_names_its_tasks(shared_crew: Crew, tmp_path: Path) -> None:
    answer = told(shared_crew, tmp_path, "inspect", "registered")
    for name in (*COMMANDS, "apply", "verdicts"):
        assert f"runworker.{name}" in answer


def test_no_password_is_reported(shared_crew: Crew, tmp_path: Path) -> None:
    asked = shared_crew.upstream.control.inspect()
    answers = {
        "celery report": told(shared_crew, tmp_path, "report"),
        **{name: str(getattr(asked, name)()) for name in ("report", "conf", "stats")},
    }
    for what, answer in answers.items():
        assert len(answer) > 100, what
        for whose, password in passwords(shared_crew).items():
            assert password not in answer, (what, whose)


def test_help_needs_no_settings(tmp_path: Path) -> None:
    ran = celery("worker", "--help", folder=tmp_path, RUNWORKER_DATA_DIR=str(tmp_path))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Usage" in ran.stdout


def test_wrong_settings_stop_the_start_all_at_once_and_no_secret_is_told(tmp_path: Path) -> None:
    ran = celery(
        "worker",
        folder=tmp_path,
        RUNWORKER_BROKER_URL=f"amqp://worker:{HIDDEN}@broker//",
        RUNWORKER_DATABASE_URL=f"mysql://worker:{HIDDEN}@database/plant",
        RUNWORKER_POOL_SIZE="many",
        RUNWORKER_WAIT_SECONDS="-1",
        RUNWORKER_PASSWORD=HIDDEN,
    )
    assert ran.returncode == 1
    assert HIDDEN not in ran.stdout + ran.stderr
    *_, last = ran.stderr.split("Wrong settings:\n")
    wrong = [line.strip().partition(":")[0] for line in last.splitlines()]
    names = ("PASSWORD", "DATABASE_URL", "BROKER_URL", "WAIT_SECONDS", "POOL_SIZE")
    assert sorted(wrong) == sorted(f"RUNWORKER_{name}" for name in names)


@pytest.mark.parametrize("known", ["BROKER_URL", "DATABASE_URL"])
def test_a_worker_that_knows_only_one_server_does_not_start(tmp_path: Path, known: str) -> None:
    url = {"BROKER_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://u@127.0.0.1:1/d"}[known]
    ran = celery("worker", folder=tmp_path, RUNWORKER_DATA_DIR=str(tmp_path), **{f"RUNWORKER_{known}": url})
    assert ran.returncode == 1
    assert "is not set and no embedded servers are running; set it, or start `runworker up`" in ran.stderr


@pytest.mark.parametrize("variable", ["CELERY_BROKER_URL", "BROKER_URL", "RESULT_BACKEND"])
def test_a_worker_that_celery_sends_elsewhere_does_not_start(tmp_path: Path, variable: str) -> None:
    ran = celery(
        "worker",
        folder=tmp_path,
        RUNWORKER_BROKER_URL="redis://127.0.0.1:1/0",
        RUNWORKER_DATABASE_URL="postgresql://u@127.0.0.1:1/d",
        **{variable: f"redis://:{HIDDEN}@elsewhere/0"},
    )
    assert ran.returncode == 1
    told = ran.stderr.partition("do without the options --broker and --result-backend and without the variables ")[2]
    assert variable in told.replace(",", "").split()
    assert HIDDEN not in ran.stderr


def test_no_password_is_logged(crew: Crew) -> None:
    worker = crew.hire(log_level="DEBUG")
    crew.verdict(crew.send("start_run"))
    crew.push(b"nonsense " + crew.broker_url.encode())
    crew.letter(b"nonsense " + crew.broker_url.encode())
    crew.close()
    assert worker.exit_code == 0
    written = crew.written()
    assert ":***@" in written
    assert "database" in passwords(crew)
    for whose, password in passwords(crew).items():
        assert password not in written, whose
