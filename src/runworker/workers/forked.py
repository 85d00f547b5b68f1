"""Workers forked from one process that has imported all they need, which is most of what a start costs.

For who starts many: chaos, and the tests. Each has an environment, descriptors, a process group and an exit code of its
own. It dies with the process it is forked from, and that with its owner.
"""

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import IO, Any, Final, cast

from runworker.workers.child import main
from runworker.workers.processes import WorkerProcesses

FORKS: Final = get_context("forkserver")

PRELOADED: Final = (
    "runworker.app",
    "runworker.simulation.chaos",
    "runworker.cli",  # which a process forked from `runworker` would import as its `__main__`
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
)
"""What workers import. Not runworker.workers.child: the names stand in the command line of the process that they are
forked from, and that module's tells workers from other processes."""

# Of the whole process: who forks from it with more to import says so afterwards, and before the first fork.
FORKS.set_forkserver_preload(list(PRELOADED))


class ForkedWorkers(WorkerProcesses):
    """Workers that are there in a tenth of the time."""

    def _begin(self, options: Sequence[str], telling: int, output: IO[bytes] | int) -> Any:
        to = output if isinstance(output, int) else output.fileno()
        process = FORKS.Process(
            target=_become_worker,
            args=(self._environment, InheritedDescriptor(to), InheritedDescriptor(telling), options),
            daemon=True,
        )
        process.start()
        return ForkedProcess(process)


class ForkedProcess:
    """As much of a `subprocess.Popen` as a `WorkerProcess` asks for. process: started."""

    def __init__(self, process: ForkServerProcess) -> None:
        self.pid = cast(int, process.pid)
        self._process = process

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Wait for its end. Returns the exit code, raises TimeoutExpired after so many seconds."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal. Does nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class InheritedDescriptor:
    """A descriptor that a forked process gets, under a number of its own: its argument there is that number."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _detached, (DupFd(self._descriptor),)


def _detached(duplicate: Any) -> int:
    return int(duplicate.detach())


def take_over(environment: Mapping[str, str], out: int, err: int) -> None:
    """Make a forked process one of its own, with this environment, and these descriptors as its output."""
    gc.freeze()  # a worker collects garbage once it is there, and need not look through all that was imported
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in {out, err}:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)


def _become_worker(environment: Mapping[str, str], output: int, telling: int, options: Sequence[str]) -> None:
    os.setpgid(0, 0)
    take_over(environment, output, output)
    main([str(os.getppid()), str(telling), *options])
