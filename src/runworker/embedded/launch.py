"""Runs one server in this process: drops privileges, ties its life to its parent's, then becomes the server.

A program of its own, run by path with `python -I -S`, because code between fork and exec is unsafe once the parent
has threads, and because the interpreter may lie where the server's account could not start it: files that root has
opened stay open. Imports nothing outside the standard library.

Arguments: parent pid, signal to receive when the parent dies, uid, gid, then the command.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
SERVER_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""The whole environment of a server: a PGOPTIONS or a locale that the system lacks would change or break it."""


def become_account(uid: int, gid: int) -> None:
    """Leave root for uid and gid, for good and without root's other groups. Does nothing unless root."""
    if os.geteuid() == 0:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)


def die_with_parent(parent: int, death_signal: int) -> None:
    """Have the kernel send death_signal when the parent's thread ends, however it ends.

    Must follow the change of user, which clears the setting. A parent that died before this line is noticed too.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
    if os.getppid() != parent:
        raise SystemExit("the process that was to own this server has ended")


def main(arguments: list[str]) -> None:
    """Become the server; on failure say why on stderr, which is the server's log."""
    parent, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    try:
        become_account(uid, gid)
        die_with_parent(parent, death_signal)
        os.execve(command[0], command, SERVER_ENVIRONMENT)  # noqa: S606 - the whole purpose; the path is the packaged server's
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]} as uid {uid}: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
