"""Processes that the benchmark starts, other than runworker's own workers.

A child writes words on its stdout, a line each (`ready`, then what its candidate agrees on with it), and reads lines on
its stdin. The end of its stdin is the end of the child: so none outlives the benchmark, however that ends.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runworker.errors import ServerError

ROOT: Final = Path(__file__).resolve().parents[1]
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0


class Child:
    """One process. command: program and arguments. log: takes what it writes on stderr."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._heard = b""
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                command,
                env={**os.environ, **environment},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write a line to the child."""
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def expect(self, word: str, seconds: float = READY_SECONDS) -> None:
        """Wait for a word. Raises ServerError where another comes, or none in time, or the child has ended."""
        if (said := self._next_line(seconds)) != word:
            raise ServerError(f"{self._process.args[:4]} said {said[:200]!r} and not {word!r}; see {self._log}.")

    def stop(self) -> None:
        """Ask it to end, and kill it where it does not."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until it has ended."""
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _next_line(self, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._heard:
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise ServerError(f"{self._process.args[:4]} said nothing for {seconds:.0f} s; see {self._log}.")
            part = os.read(self._process.stdout.fileno(), 65_536)
            if not part:
                raise ServerError(f"{self._process.args[:4]} ended: {self._log.read_text(errors='replace')[-2000:]}")
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()


@contextmanager
def children(
    count: int, command: Sequence[str], environments: Sequence[Mapping[str, str]], log: Path
) -> Iterator[list[Child]]:
    """So many processes, each ready; they end with the block."""
    running: list[Child] = []
    try:
        running.extend(Child(command, environments[number % len(environments)], log) for number in range(count))
        for child in running:
            child.expect("ready")
        yield running
    finally:
        for child in running:
            child.stop()
        for child in running:
            child.wait()


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module with our own interpreter."""
    return [sys.executable, "-m", name, *arguments]
