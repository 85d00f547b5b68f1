"""The command line on a test's own database and broker: in this process, or as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.environment import settings_in, without_settings
from tests.fork_server import run_module
from typer.testing import CliRunner, Result

from runworker.cli import app

SECONDS = 180
SCRIPT = Path(sys.executable).with_name("runworker")
MODULE = (sys.executable, "-m", "runworker.cli")


class CommandLine:
    """Commands with one set of `RUNWORKER_` variables, in an empty folder. settings: without the prefix."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = settings

    @property
    def variables(self) -> dict[str, str]:
        return {f"RUNWORKER_{name.upper()}": value for name, value in self.settings.items()}

    def run(self, *arguments: str, stdin: bytes | None = None, terminal_width: int = 200) -> Result:
        """In this process."""
        others = dict.fromkeys(settings_in(os.environ))
        environment: Mapping[str, str | None] = {**others, **self.variables, "COLUMNS": str(terminal_width)}
        return CliRunner().invoke(app, arguments, input=stdin, env=environment, catch_exceptions=False)

    def ok(self, *arguments: str, stdin: bytes | None = None) -> str:
        """In this process; the command has to succeed. Returns stdout."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def json(self, *arguments: str, stdin: bytes | None = None) -> Any:
        """What the command prints with --json."""
        return json.loads(self.ok(*arguments, "--json", stdin=stdin))

    def refused(self, *arguments: str, stdin: bytes | None = None) -> str:
        """The command has to fail with exit code 1 and print no result. Returns stderr."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert result.stderr.startswith("runworker: ")
        assert "Traceback" not in result.stderr
        return result.stderr

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """As a process, in a group of its own, for os.killpg to do what a terminal's ctrl-C does."""
        return subprocess.Popen(
            [*MODULE, *arguments],
            cwd=self.folder,
            env=without_settings() | self.variables,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
            **options,
        )

    def finished(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As a process, forked and waited for."""
        environment = without_settings() | self.variables
        return run_module("runworker.cli", *arguments, folder=self.folder, environment=environment, seconds=SECONDS)


@pytest.fixture
def command_line(
    database_url: str, broker_url: str, logging_left_alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Commands on a migrated database and an empty broker."""
    monkeypatch.chdir(tmp_path)  # away from any .env
    return CommandLine(tmp_path, database_url=database_url, broker_url=broker_url)
