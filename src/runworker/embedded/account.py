"""The account that the servers run as: the user who starts them, or `nobody` where that is root.

PostgreSQL refuses to run as root. Valkey would not, but a network server has no business being root either.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from runworker.errors import ServerError

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    """A system user. differs: the servers do not run as the user of this process."""

    name: str
    uid: int
    gid: int
    differs: bool

    def own(self, path: Path) -> None:
        """Make the account the owner of one file or folder."""
        if self.differs:
            # Some of these lie in folders of the account's, which could put a link to any file there.
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_read(self, path: Path) -> bool:
        """Whether the account reaches path through every parent and may read it (a folder: list and enter it)."""
        path = path.resolve()
        wanted = 0o5 if path.is_dir() else 0o4
        return self.can_enter(path.parent) and self._allows(path, wanted)

    def can_enter(self, folder: Path) -> bool:
        """Whether the account reaches folder and may pass through it, which needs no right to list it."""
        folder = folder.resolve()
        return all(self._allows(each, 0o1) for each in (folder, *folder.parents))

    def _allows(self, path: Path, wanted: int) -> bool:
        if not self.differs:
            return True  # the user's own files: a real refusal tells more than the mode bits
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid == self.uid:
            mode >>= 6
        elif status.st_gid == self.gid:
            mode >>= 3
        return mode & wanted == wanted


def server_account() -> Account:
    """The account for servers that this process starts. Raises ServerError where root has no account to become."""
    if os.geteuid() != 0:
        return Account(name=f"uid {os.geteuid()}", uid=os.geteuid(), gid=os.getegid(), differs=False)
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise ServerError(
            f"PostgreSQL does not run as root, and this system has no user '{UNPRIVILEGED}' to run it as. "
            "Start runworker as an ordinary user, or set RUNWORKER_DATABASE_URL and RUNWORKER_BROKER_URL."
        ) from error
    return Account(name=UNPRIVILEGED, uid=entry.pw_uid, gid=entry.pw_gid, differs=True)
