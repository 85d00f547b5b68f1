"""Workers and commands forked from one process that has imported all they need, which is most of what a start costs.

Each has an environment, descriptors and an exit code of its own, and dies with the tests. That workers and commands
start from nothing as well, tests/integration/test_worker_processes, test_cli_basics and test_cli_up prove.
"""

import gc
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

import pytest

from runworker.workers import WorkerProcesses
from runworker.workers.child import main

_FORKS: Final = get_context("forkserver")
# Not runworker.workers.child: the names stand in the server's command line, by which tests tell workers from others.
_FORKS.set_forkserver_preload(
    [
        "pytest",  # which a process forked from a run of `pytest` would import as its `__main__`
        "runworker.app",
        "runworker.cli",
        "runworker.tasks.consumer",
        "runworker.tasks.strategy",
        "runworker.transport.transports",
        "celery.app.control",
        "celery.app.log",
        "celery.apps.worker",
        "celery.backends.redis",
        "celery.bin.celery",
        "celery.bin.control",
        "celery.concurrency.prefork",
        "celery.concurrency.solo",
        "celery.concurrency.thread",
        "celery.worker.autoscale",
        "celery.worker.components",
        "celery.worker.consumer.delayed_delivery",
        "celery.worker.strategy",
        "kombu.transport.redis",
        "sqlalchemy.dialects.postgresql.psycopg",
    ]
)


class ForkedWorkers(WorkerProcesses):
    """Workers that are there in a tenth of the time."""

    def _begin(self, options: Sequence[str], telling: int, output: IO[bytes] | int) -> Any:
        to = output if isinstance(output, int) else output.fileno()
        process = _FORKS.Process(
            target=_become_worker, args=(self._environment, _Inherited(to), _Inherited(telling), options), daemon=True
        )
        process.start()
        return _Forked(process)


def run_module(
    module: str, *arguments: str, folder: Path, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """What `python -m module` does in a folder, with the end of its input at once. Waits for it so long."""
    with TemporaryFile() as out, TemporaryFile() as err:
        files = [_Inherited(file.fileno()) for file in (out, err)]
        process = _FORKS.Process(target=_become_program, args=(environment, folder, *files, (module, *arguments)))
        process.start()
        try:
            code = _Forked(process).wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        told = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (out, err)]
    return subprocess.CompletedProcess([module, *arguments], code, *told)


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts workers in this process forks them."""
    monkeypatch.setattr(WorkerProcesses, "_begin", ForkedWorkers._begin)


class _Forked:
    """As much of a `subprocess.Popen` as `WorkerProcess` asks for."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Inherited:
    """A descriptor that the new process gets, under a number of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _detached, (DupFd(self._descriptor),)


def _detached(duplicate: Any) -> int:
    return int(duplicate.detach())


def _become_worker(environment: Mapping[str, str], output: int, telling: int, options: Sequence[str]) -> None:
    os.setpgid(0, 0)
    _take(environment, output, output)
    # Its parent, with which it dies, is the server it is forked from, and that ends with the tests' process.
    main([str(os.getppid()), str(telling), *options])


def _become_program(environment: Mapping[str, str], folder: Path, out: int, err: int, arguments: Sequence[str]) -> None:
    os.chdir(folder)
    _take(environment, out, err)
    module, *_ = sys.argv = list(arguments)
    sys.modules.pop(f"{module}.__main__", None)  # as nobody has imported it before it is run
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _take(environment: Mapping[str, str], out: int, err: int) -> None:
    gc.freeze()  # a worker collects garbage once it is there, and need not look through all that was imported
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in {out, err}:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
