"""What keeps a process from starting is one sentence on stderr and an exit code, whoever's command line it is."""

from pathlib import Path

import pytest
from tests.environment import without_settings
from tests.fork_server import run_module

from runworker import revisions

ASKED = (
    ("worker", "--pool", "solo"),
    ("inspect", "ping"),
    ("control", "shutdown"),
    ("status",),
    ("report",),
    ("flower",),
)
NO_SERVERS = "is not set and no embedded servers are running"
WORKER = {
    "no broker": ({}, f"Error: RUNWORKER_BROKER_URL {NO_SERVERS}"),
    "no database": ({"RUNWORKER_BROKER_URL": "redis://one"}, f"Error: RUNWORKER_DATABASE_URL {NO_SERVERS}"),
    "told twice": (
        {"RUNWORKER_BROKER_URL": "redis://one", "CELERY_RESULT_BACKEND": "redis://two"},
        "Error: Celery is told of other servers than",
    ),
}


def said(module: str, *arguments: str, folder: Path, **variables: str) -> list[str]:
    """The lines of a program that fails."""
    environment = without_settings() | {"RUNWORKER_DATA_DIR": str(folder)} | variables
    done = run_module(module, *arguments, folder=folder, environment=environment, seconds=180)
    assert done.returncode != 0
    # Alembic's own word for a failure goes to stdout, where results of others are.
    assert not done.stdout or module == "alembic.config"
    return (done.stderr or done.stdout).splitlines()


@pytest.mark.parametrize("command", ASKED, ids=" ".join)
def test_celery_tells_of_a_wrong_setting_in_a_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    first, second = said("celery", "-A", "runworker.app", *command, folder=tmp_path, RUNWORKER_POOL_SIZE="none")
    assert first == "Error: Wrong settings:"
    assert second.startswith("  RUNWORKER_POOL_SIZE: ")


@pytest.mark.parametrize("case", WORKER)
def test_a_worker_that_may_not_start_says_why_in_a_sentence(tmp_path: Path, case: str) -> None:
    variables, sentence = WORKER[case]
    *before, last = said("celery", "-A", "runworker.app", "worker", "--pool", "solo", folder=tmp_path, **variables)
    assert last.startswith(sentence)
    assert "Traceback" not in "".join(before)  # root is warned


@pytest.mark.parametrize("url", ["", "mysql://one/plant", "postgresql://one/plant?connect_timeout=abc"])
def test_alembic_tells_of_a_wrong_url_in_a_sentence(tmp_path: Path, url: str) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = {revisions.folder()}\n", "utf-8")
    [line] = said("alembic.config", "upgrade", "head", folder=tmp_path, RUNWORKER_DATABASE_URL=url)
    assert line.startswith("FAILED: ")
