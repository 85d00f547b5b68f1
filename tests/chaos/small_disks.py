"""Disks of a few megabytes, for servers to fill."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import disk_usage, which

import pytest

from runworker.embedded.account import server_account

_MEGABYTES = 32


class SmallDisk:
    """A file system of its own at a folder of the servers' account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no room. What stands in files already may be written anew."""
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        assert not disk_usage(self.folder).free

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A small disk at a new folder. Skips the test where this user or this system mounts none."""
    if which("mount") is None:
        pytest.skip("a small disk cannot be made: there is no `mount`")
    account = server_account()
    folder.mkdir()
    options = f"size={_MEGABYTES}m,mode=0700,uid={account.uid},gid={account.gid}"
    command = ["mount", "-t", "tmpfs", "-o", options, "runworker-test", str(folder)]
    mounting = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounting.returncode:
        pytest.skip(f"a small disk cannot be made: {mounting.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
