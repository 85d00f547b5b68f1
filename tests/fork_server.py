"""Workers and commands forked from one process that has imported all they need, which is most of what a start costs.

That workers and commands start from nothing as well, tests/integration/test_worker_processes, test_cli_basics and
test_cli_up prove.
"""

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from runworker.workers import WorkerProcesses
from runworker.workers.forked import FORKS, PRELOADED, ForkedProcess, ForkedWorkers, InheritedDescriptor, take_over

# With pytest, which a process forked from a run of `pytest` would import as its `__main__`; without what brings in
# `alembic.config`, which tests run as a module.
FORKS.set_forkserver_preload(["pytest", *(module for module in PRELOADED if "chaos" not in module)])


def run_module(
    module: str, *arguments: str, folder: Path, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """What `python -m module` does in a folder, with the end of its input at once. Waits for it so long."""
    with TemporaryFile() as out, TemporaryFile() as err:
        files = [InheritedDescriptor(file.fileno()) for file in (out, err)]
        process = FORKS.Process(target=_become_program, args=(environment, folder, *files, (module, *arguments)))
        process.start()
        try:
            code = ForkedProcess(process).wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        told = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
    return subprocess.CompletedProcess([module, *arguments], code, *told)


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts workers in this process forks them."""
    monkeypatch.setattr(WorkerProcesses, "_begin", ForkedWorkers._begin)


def _become_program(environment: Mapping[str, str], folder: Path, out: int, err: int, arguments: Sequence[str]) -> None:
    os.chdir(folder)
    take_over(environment, out, err)
    module, *_ = sys.argv = list(arguments)
    sys.modules.pop(f"{module}.__main__", None)  # as nobody has imported it before it is run
    runpy.run_module(module, run_name="__main__", alter_sys=True)
