"""Starts owner_of_servers.py and watches what becomes of its servers."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

OWNER = Path(__file__).with_name("owner_of_servers.py")
SECONDS = 180


class Owner:
    """A running owner_of_servers.py. told: what it printed when the servers were there."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.communicate()
            pytest.fail("the owner ended without servers; its error is on stderr")
        self.told: dict[str, Any] = json.loads(line)
        self._servers = {name: os.pidfd_open(self.told[name]) for name in ("postgres_pid", "valkey_pid")}

    def assert_servers_end(self) -> None:
        for name, descriptor in self._servers.items():
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)  # readable once the process has ended
            assert poll.poll(SECONDS * 1000), f"{name} {self.told[name]} outlived its owner"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.told["owned"]:
            self.assert_servers_end()
        for descriptor in self._servers.values():
            os.close(descriptor)
        assert self.process.stdout is not None
        self.process.stdout.close()


def launch(
    *arguments: Path, prefix: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    # In a group of its own, for os.killpg to do what a terminal's ctrl-C does.
    return subprocess.Popen(
        [*prefix, sys.executable, str(OWNER), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        process_group=0,
    )


@contextmanager
def owner(process: subprocess.Popen[str]) -> Iterator[Owner]:
    running = Owner(process)
    try:
        yield running
    finally:
        running.close()
