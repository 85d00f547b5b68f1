"""What processes import, since that is most of what starting one costs. Asked of processes, not of a clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.environment import settings_in
from typer.core import TyperGroup
from typer.main import get_command

from runworker.cli import app, on_demand

TOLD = "import atexit, sys; atexit.register(lambda: sys.stderr.write('\\n' + ' '.join(sys.modules)))\n"
COMMANDS = TOLD + "import sys; from runworker.cli import app\n"
A_DATABASE = {"sqlalchemy", "psycopg", "alembic"}
A_BROKER = {"celery", "kombu", "redis"}


def imported(program: str, folder: Path) -> set[str]:
    """The modules in a process at the end of a program."""
    environment = {name: value for name, value in os.environ.items() if name not in settings_in(os.environ)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment | {"RUNWORKER_DATA_DIR": str(folder)},
    )
    return set(done.stderr.splitlines()[-1].split())


def helps(command: object, *path: str) -> Iterator[list[str]]:
    """The arguments that ask each command for its help."""
    yield [*path, "--help"]
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from helps(inner, *path, name)


def test_help_needs_nothing_that_commands_work_with(tmp_path: Path) -> None:
    asked = list(helps(get_command(app)))
    assert ["dead-letters", "replay", "--help"] in asked
    found = imported(COMMANDS + f"for each in {asked}: app(each, standalone_mode=False)", tmp_path)
    assert not found & {*A_DATABASE, *A_BROKER, "pydantic_settings", "structlog", "asyncio"}
    assert not found & set(on_demand.HOMES.values())
    assert "runworker.cli.flow" in found


def test_the_first_help_needs_no_pydantic(tmp_path: Path) -> None:
    found = imported(COMMANDS + "app(['--help'], standalone_mode=False)", tmp_path)
    assert "pydantic" not in found


def test_settings_are_shown_without_clients_of_servers_that_do_not_run(tmp_path: Path) -> None:
    found = imported(COMMANDS + "app(['config', '--json'], standalone_mode=False)", tmp_path)
    assert "runworker.config" in found
    assert not found & (A_DATABASE | A_BROKER)


def test_a_worker_does_without_what_only_people_use(tmp_path: Path) -> None:
    found = imported(TOLD + "import runworker.workers.child", tmp_path)
    assert {"runworker.app", "celery.bin.worker", "sqlalchemy.orm"} <= found
    assert not found & {"alembic", "typer", "prompt_toolkit", "flower", "tornado.web", "celery.bin.celery"}
    assert not [name for name in found if name.startswith(("runworker.cli", "runworker.embedded.p"))]
