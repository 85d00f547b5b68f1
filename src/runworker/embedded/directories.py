"""The directory of the embedded servers' data, and its layout.

DIRECTORY/                0700; 0711 under root, whose servers run as another user
├── starting.lock         held while a process starts servers here
├── servers.json          0600, URLs and pids of the running servers; gone when they were stopped
├── postgres.lock         held by the running server, and so for valkey
├── postgres.passwords    0600, generated once
├── postgres.log          of this start; the one before is postgres.log.1
├── postgres/, valkey/    the data, 0700, owned by the account the servers run as
└── programs/             under root: copies of wheels that this account could not read in place
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runworker.embedded.account import Account, server_account
from runworker.errors import ServerError

SYSTEM_DIRECTORY = Path("/var/lib/runworker")
PRIVATE, PASSABLE = 0o700, 0o711


@dataclass(frozen=True)
class DataDirectory:
    """A directory for embedded servers, as drawn above. Names only; `prepare` makes it real."""

    path: Path

    @property
    def starting_lock(self) -> Path:
        """Serializes the processes that start servers here."""
        return self.path / "starting.lock"

    @property
    def record(self) -> Path:
        """URLs and pids of the running servers."""
        return self.path / "servers.json"

    @property
    def programs(self) -> Path:
        """Copies of wheels."""
        return self.path / "programs"

    def data(self, server: str) -> Path:
        """A server's data folder, also its working folder."""
        return self.path / server

    def lock(self, server: str) -> Path:
        """Held by the running server itself."""
        return self.path / f"{server}.lock"

    def passwords(self, server: str) -> Path:
        """The server's generated passwords, by login name."""
        return self.path / f"{server}.passwords"

    def log(self, server: str) -> Path:
        """The server's output since its last start."""
        return self.path / f"{server}.log"

    def prepare(self, account: Account) -> None:
        """Make the directory and see that the account can pass through it.

        Parents that exist are left as they are. Raises ServerError where the account cannot get there.
        """
        mode = PASSABLE if account.differs else PRIVATE
        for missing in reversed([each for each in (self.path, *self.path.parents) if not each.exists()]):
            missing.mkdir(exist_ok=True)
            missing.chmod(mode)  # mkdir's own mode is cut by the umask
        if not account.can_enter(self.path):
            raise ServerError(
                f"user '{account.name}', under whom root's servers run, cannot enter {self.path}: that folder or "
                f"one above it is closed to others. Give a directory that others may pass through, "
                f"such as {SYSTEM_DIRECTORY}."
            )


def default_directory() -> Path:
    """The user's own directory: $XDG_DATA_HOME/runworker or ~/.local/share/runworker; for root, /var/lib/runworker.

    Root's home is closed to the user its servers run as, hence the difference. Raises ServerError without a home.
    """
    if os.geteuid() == 0:
        return SYSTEM_DIRECTORY
    given = Path(os.environ.get("XDG_DATA_HOME", ""))
    if given.is_absolute():  # the specification has relative ones ignored
        return given / "runworker"
    try:
        return Path.home() / ".local" / "share" / "runworker"
    except RuntimeError as error:
        raise ServerError(
            f"there is no home directory for the servers' data ({error}). Set HOME, or give a directory."
        ) from error


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory for servers that need not outlive the block, removed with everything in it at the end.

    Unlike tempfile's, the servers' account can enter it, under root too.
    """
    account = server_account()
    parent = Path(tempfile.gettempdir())
    if not account.can_enter(parent):
        parent = Path("/var/tmp")  # noqa: S108 - mkdtemp picks a name there that nobody can foresee
    path = Path(tempfile.mkdtemp(prefix="runworker-", dir=parent))
    try:
        if account.differs:
            path.chmod(PASSABLE)
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def storage_errors(directory: Path) -> Iterator[None]:
    """Turn errors of the file system (read-only, full, not permitted) into a ServerError that names directory."""
    try:
        yield
    except OSError as error:
        raise ServerError(
            f"cannot keep embedded servers in {directory}: {error}. Give a directory that can be written to."
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, so that a crash leaves the old text or the new, never less."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600 by definition
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the rename itself could be lost, and a database's password with it
    finally:
        os.close(folder)
