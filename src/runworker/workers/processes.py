"""Starts worker processes, tells when one has ended, and stops or kills them.

Each is a process group of its own, so that a terminal's ctrl-C reaches only its owner, who lets workers finish what
they hold before the servers go. On Linux the kernel kills them with their owner, however that ends.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from pydantic import SecretStr

from runworker.config import CELERY_SERVERS, PREFIX, Settings
from runworker.errors import ServerError

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
STANDARD_ERROR: Final = 2

# A worker is one process and does its tasks itself: nothing of it outlives a kill, and two do as much as a pool of two.
SOLO: Final = ("--pool", "solo", "--without-gossip", "--without-mingle")


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a process that shall have these settings, but for the owner's URL: a worker owns nothing.

    Celery's own variables do not lead it to other servers than these settings name.
    """
    given: dict[str, str] = {}
    for name in sorted(settings.model_fields_set - {"migration_url"}):
        value = getattr(settings, name)
        if value is not None:
            given[PREFIX + name.upper()] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    kept = (name for name in os.environ if not name.startswith(PREFIX) and name not in CELERY_SERVERS)
    inherited = {name: os.environ[name] for name in kept}
    return inherited | given


class WorkerProcess:
    """A worker that this process started.

    told: a descriptor that becomes readable once when the worker takes messages, and for good when it has ended.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], told: int) -> None:
        self.name = name
        self.told = told
        self._process = process

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code of a worker that has ended, negative for a signal; None while it runs."""
        return self._process.poll()

    def heard(self) -> bool:
        """Wait for the descriptor: True when the worker is ready, False when it has ended."""
        return bool(os.read(self.told, 1))

    def send(self, number: signal.Signals) -> None:
        """Send a signal. Does nothing when the worker has ended."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> None:
        """Wait for a worker that is to end; kill it after so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Let go of a worker that has ended."""
        os.close(self.told)


class WorkerProcesses:
    """Workers on one set of settings, as a context manager whose end stops them all.

    settings: with URLs, for instance those of `provisioning.ready_servers`. name: what its workers are called, followed
    by a number; two sets on one broker need two names. log: a file that takes what the workers write; without it that
    goes to this process's stderr. options: Celery's, for each. variables: of the environment, besides the settings.
    Workers must be started from the main thread.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str = "worker",
        log: Path | None = None,
        options: Sequence[str] = SOLO,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._environment: Mapping[str, str] = environment_of(settings) | dict(variables or {})
        self._log = log
        self._options = tuple(options)
        self._running: list[WorkerProcess] = []
        self._started = 0

    @property
    def running(self) -> tuple[WorkerProcess, ...]:
        """The workers that were started and neither killed nor stopped; one that has died by itself is among them."""
        return tuple(self._running)

    def start(self, count: int = 1) -> None:
        """Start so many more workers and wait until each takes messages.

        Raises ServerError when one ends before, or is not ready 60 seconds after the one before it was.
        """
        for worker in [self.launch() for _ in range(count)]:
            self._await_ready(worker)

    def launch(self) -> WorkerProcess:
        """Start one more worker and do not wait for it: where its servers are away, it waits for them itself."""
        if threading.current_thread() is not threading.main_thread():
            raise ServerError(
                "workers must be started from the main thread: the kernel ends them together with the thread that "
                "started them."
            )
        return self._launch()

    def take_ended(self) -> list[WorkerProcess]:
        """Let go of the workers that have ended, however they did, and return them."""
        ended = [worker for worker in self._running if worker.exit_code is not None]
        for worker in ended:
            self._running.remove(worker)
            worker.close()
        return ended

    def wait(self, seconds: float | None = None) -> WorkerProcess | None:
        """Wait until a running worker ends by itself and return it; None when so many seconds passed first."""
        ended = wait_for_any([worker.told for worker in self._running], seconds)
        return next((worker for worker in self._running if worker.told in ended), None)

    def kill_one(self) -> WorkerProcess:
        """Kill the oldest worker with SIGKILL, wait until it is gone and return it."""
        worker = self._running.pop(0)
        worker.send(signal.SIGKILL)
        worker.wait(STOP_SECONDS)
        worker.close()
        return worker

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Let all workers finish what they are doing and end; kill those that take longer."""
        for worker in self._running:
            worker.send(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self._running:
            worker = self._running[-1]
            worker.wait(max(0.0, deadline - time.monotonic()))
            worker.close()
            self._running.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> WorkerProcess:
        self._started += 1
        name = f"{self._name}{self._started}@{socket.gethostname()}"
        told, telling = os.pipe()
        try:
            with self._output() as output:
                process = self._begin(("--hostname", name, *self._options), telling, output)
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(telling)
        worker = WorkerProcess(name, process, told)
        self._running.append(worker)
        return worker

    def _begin(self, options: Sequence[str], telling: int, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "runworker.workers.child", str(os.getpid()), str(telling), *options],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(telling,),
            process_group=0,
        )

    def _output(self) -> AbstractContextManager[IO[bytes] | int]:
        # Never our stdout, which is for results: Celery prints a banner there.
        return self._log.open("ab") if self._log else nullcontext(STANDARD_ERROR)

    def _await_ready(self, worker: WorkerProcess) -> None:
        ready = wait_for_any([worker.told], READY_SECONDS)
        if ready and worker.heard():
            return
        what = "ended" if ready else f"did not take messages within {READY_SECONDS:.0f} s"
        where = f"see {self._log}" if self._log else "see what it wrote above"
        raise ServerError(f"the worker {worker.name} {what}; {where}.")
