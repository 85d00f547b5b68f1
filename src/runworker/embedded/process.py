"""Starts a server's process, waits until it answers, and stops it.

The child stands in a process group of its own, so that a terminal's ctrl-C reaches only the parent, which stops the
servers when its own work is done. A parent that cannot do that any more is followed by the kernel's signal instead.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from runworker.embedded.account import Account
from runworker.embedded.locks import POLL_SECONDS
from runworker.errors import ServerError

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
PORT_ATTEMPTS: Final = 5
LOG_LINES_SHOWN: Final = 20
NO_MORE: Final[Mapping[str, str]] = MappingProxyType({})
"""For a server that is given no settings beside ours."""

_LAUNCHER: Final = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Recipe:
    """Instructions to run one server.

    command: the command line for a port. probe: raises one of not_ready until the server on a port answers.
    stop_signal: what ends it cleanly. death_signal: what the kernel sends when the parent dies.
    """

    name: str
    command: Callable[[int], list[str]]
    probe: Callable[[int], None]
    not_ready: tuple[type[Exception], ...]
    stop_signal: signal.Signals
    death_signal: signal.Signals
    folder: Path
    log: Path


class RunningServer:
    """A server process that this process started and has to stop."""

    def __init__(self, recipe: Recipe, process: subprocess.Popen[bytes], port: int) -> None:
        self.name = recipe.name
        self.port = port
        self.log = recipe.log
        self._process = process
        self._stop_signal = recipe.stop_signal

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code of a server that has ended, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End the server cleanly and wait for it. Does nothing when it has ended."""
        self.ask_to_stop()
        self.wait()

    def ask_to_stop(self) -> None:
        """Send the signal that ends the server cleanly, without waiting."""
        self._process.send_signal(self._stop_signal)

    def wait(self) -> None:
        """Wait for a server that was asked to stop; kill it after 30 seconds."""
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def require_supported_caller() -> None:
    """Raise ServerError where the kernel could not end the servers with this process."""
    if sys.platform != "linux":
        raise ServerError(
            f"embedded servers need Linux, this is {sys.platform}. "
            "Set RUNWORKER_DATABASE_URL and RUNWORKER_BROKER_URL to servers of your own."
        )
    if threading.current_thread() is not threading.main_thread():
        raise ServerError(
            f"embedded servers must be started from the main thread, this is '{threading.current_thread().name}': "
            "the kernel ends them together with the thread that started them."
        )


def launch(
    command: list[str], *, account: Account, death_signal: signal.Signals, lock: int, folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Run a command as the account, tied to this thread's life, holding the lock, its output in log."""
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
    identity = [str(number) for number in (os.getpid(), int(death_signal), account.uid, account.gid)]
    log.touch(mode=0o600)  # statements that fail are logged with their data
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own launcher and the packaged programs, no shell
            [*launcher, *identity, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            process_group=0,
            umask=0o077,
        )


def run(command: list[str], *, account: Account, lock: int, folder: Path, log: Path, seconds: float) -> None:
    """Run a program that ends by itself, as `launch` does. Raises ServerError when it fails or takes longer."""
    name = Path(command[0]).name
    begin_log(log)
    with launch(command, account=account, death_signal=signal.SIGTERM, lock=lock, folder=folder, log=log) as process:
        try:
            exit_code = process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            process.terminate()
            raise ServerError(f"{name} did not end within {seconds:.0f} s." + end_of(log)) from error
        except BaseException:
            process.terminate()
            raise
    if exit_code:
        raise ServerError(f"{name} could not make a database in {folder} (code {exit_code})." + end_of(log))


def start(recipe: Recipe, *, account: Account, lock: int, port: int | None) -> RunningServer:
    """Start a server on port, or on a free one, and wait until it answers.

    Raises ServerError with the end of the server's log when it ends at once or does not answer within 60 seconds.
    """
    if port is not None:
        return _start_on(port, recipe, account, lock)
    for _ in range(PORT_ATTEMPTS - 1):
        found = free_port()
        try:
            return _start_on(found, recipe, account, lock)
        except _EndedEarly:
            if _is_free(found):  # or another program took the port since it was found: try the next
                raise
    return _start_on(free_port(), recipe, account, lock)


def _start_on(port: int, recipe: Recipe, account: Account, lock: int) -> RunningServer:
    begin_log(recipe.log)
    process = launch(
        recipe.command(port),
        account=account,
        death_signal=recipe.death_signal,
        lock=lock,
        folder=recipe.folder,
        log=recipe.log,
    )
    server = RunningServer(recipe, process, port)
    try:
        _wait_until_ready(server, recipe)
    except BaseException:
        server.stop()
        raise
    return server


def begin_log(log: Path) -> None:
    """Put the previous start's log aside, so that errors show this start's."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


def end_of(log: Path) -> str:
    """The last lines of a log, for an error message."""
    lines = log.read_text("utf-8", errors="replace").splitlines()
    return "\n".join(["", f"The end of {log}:", *lines[-LOG_LINES_SHOWN:]])


class _EndedEarly(ServerError):
    """The process ended before it answered."""


def _wait_until_ready(server: RunningServer, recipe: Recipe) -> None:
    def probe() -> None:
        if server.exit_code is not None:
            raise _EndedEarly(
                f"{server.name} ended with code {server.exit_code} while starting on port {server.port}."
                + end_of(server.log)
            )
        recipe.probe(server.port)

    attempts = Retrying(
        stop=stop_after_delay(START_SECONDS),
        wait=wait_fixed(POLL_SECONDS),
        retry=retry_if_exception_type(recipe.not_ready),
        reraise=True,
    )
    try:
        attempts(probe)
    except recipe.not_ready as error:
        raise ServerError(
            f"{server.name} did not answer on {HOST}:{server.port} within {START_SECONDS:.0f} s ({error})."
            + end_of(server.log)
        ) from error


def free_port() -> int:
    """A port of this machine that no process listens at."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True
