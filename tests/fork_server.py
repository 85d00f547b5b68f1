"""Workers forked from one process that has imported all they need, which is most of what a worker's start costs.

Like a worker that `WorkerProcesses` starts, each has an environment, a process group, descriptors and an exit code of
its own, and dies with whoever began it. tests/integration/test_worker_processes proves how one starts from nothing.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import IO, Any, Final

from runworker.workers import WorkerProcesses
from runworker.workers.child import main

_FORKS: Final = get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "pytest",  # which a process forked from a run of `pytest` would import as its `__main__`
        "runworker.app",
        "runworker.workers.child",
        "runworker.tasks.consumer",
        "celery.bin.celery",
        "celery.apps.worker",
        "celery.backends.redis",
        "celery.concurrency.prefork",
        "celery.concurrency.solo",
        "celery.concurrency.thread",
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
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    # Its parent, with which it dies, is the server it is forked from, and that ends with the tests' process.
    main([str(os.getppid()), str(telling), *options])
