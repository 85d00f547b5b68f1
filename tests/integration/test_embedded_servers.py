"""Embedded servers as they live and die: real ones, started, found, killed and started again."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from tests.integration.owners import OWNER, SECONDS, launch, owner

from runworker.embedded import (
    EmbeddedServers,
    find_running,
    grant_worker_role,
    start_postgres,
    start_valkey,
    temporary_directory,
)
from runworker.embedded.account import Account, server_account
from runworker.embedded.postgres import SUPERUSER, connect, database_url
from runworker.embedded.programs import POSTGRES, VALKEY, find_program
from runworker.embedded.valkey import broker_url

CAP_DAC_READ_SEARCH = 2

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def directory() -> Iterator[Path]:
    with temporary_directory() as path:
        yield path


def copy_wheels(into: Path) -> dict[str, str]:
    """Put the servers' wheels into a folder, and give an environment in which they are found there first."""
    itself = Account(name="root", uid=0, gid=0, differs=False)
    for wheel in (POSTGRES, VALKEY):
        package = next(each for each in find_program(wheel, itself, into).parents if each.name == wheel.package)
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, into / folder.name, ignore=shutil.ignore_patterns("include", "*.a"))
    path = os.pathsep.join(filter(None, (str(into), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def test_servers_start_serve_and_stop(directory: Path) -> None:
    with EmbeddedServers(directory, durable=False) as servers:
        assert servers.owned
        assert find_running(directory) == servers.urls
        for url, login in ((servers.urls.admin_database_url, "postgres"), (servers.urls.database_url, "runworker_app")):
            with connect(url) as connection:
                assert connection.execute("SELECT current_user, current_database()").fetchone() == (login, "runworker")
        with Redis.from_url(servers.urls.broker_url) as client:
            assert client.ping()
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        record = directory / "servers.json"
        assert record.stat().st_mode & 0o777 == 0o600
        pids = json.loads(record.read_text())
    assert find_running(directory) is None
    assert not record.exists()
    for name in ("postgres_pid", "valkey_pid"):
        with pytest.raises(ProcessLookupError):
            os.kill(pids[name], 0)


def test_servers_let_nobody_in_without_the_password(used_directory: Path) -> None:
    with EmbeddedServers(used_directory, durable=False) as servers:
        port = int(servers.urls.database_url.rpartition(":")[2].partition("/")[0])
        for login in ("postgres", "runworker_app"):
            guess = f"host=127.0.0.1 port={port} dbname=postgres user={login} password=guessed"
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(guess)
        with connect(servers.urls.admin_database_url) as connection:
            rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert rules == [("scram-sha-256",)]
        # redis-cli takes a user that is not named for one without a name, and is refused.
        assert servers.urls.broker_url.startswith("redis://default:")
        assert "postgres:" not in repr(servers.urls)


def test_data_outlives_a_restart(used_directory: Path) -> None:
    with EmbeddedServers(used_directory) as servers:
        with connect(servers.urls.admin_database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            settings = connection.execute("SELECT setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')")
            assert settings.fetchall() == [("on",), ("on",)]
        with Redis.from_url(servers.urls.broker_url) as client:
            client.set("kept", "42")
        first = servers.urls
    with EmbeddedServers(used_directory) as servers:
        assert servers.owned
        assert servers.urls != first
        with connect(servers.urls.admin_database_url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        with Redis.from_url(servers.urls.broker_url) as client:
            assert client.get("kept") == b"42"


def test_a_second_start_uses_the_running_servers(used_directory: Path) -> None:
    with owner(launch(used_directory)) as first, EmbeddedServers(used_directory, durable=False) as second:
        assert not second.owned
        assert second.urls.broker_url == first.told["broker_url"]
        second.stop()
        assert find_running(used_directory) is not None, "who only found the servers must not end them"


def test_two_who_start_at_once_share_one_pair_of_servers(directory: Path) -> None:
    with ExitStack() as stack:
        processes = [launch(directory) for _ in range(2)]
        told = [stack.enter_context(owner(process)).told for process in processes]
        assert sorted(each["owned"] for each in told) == [False, True]
        assert told[0]["database_url"] == told[1]["database_url"]
        assert told[0]["postgres_pid"] == told[1]["postgres_pid"]


def test_killing_the_owner_ends_the_servers(used_directory: Path) -> None:
    with owner(launch(used_directory)) as killed:
        killed.process.kill()
        killed.assert_servers_end()
    assert find_running(used_directory) is None
    with EmbeddedServers(used_directory, durable=False) as servers:
        assert servers.owned


def test_ctrl_c_reaches_the_owner_first(used_directory: Path) -> None:
    with owner(launch(used_directory)) as interrupted:
        os.killpg(interrupted.process.pid, signal.SIGINT)
        out, _ = interrupted.process.communicate(timeout=SECONDS)
        assert out == "served to the end\n"
        assert interrupted.process.returncode == 0
        interrupted.assert_servers_end()
    assert not (used_directory / "servers.json").exists()


def test_an_exception_ends_the_servers(used_directory: Path) -> None:
    with pytest.raises(ZeroDivisionError), EmbeddedServers(used_directory, durable=False):
        raise ZeroDivisionError
    assert find_running(used_directory) is None


def test_a_killed_server_starts_again_on_its_port_and_data(used_directory: Path) -> None:
    valkey = start_valkey(used_directory, durable=True)
    postgres = start_postgres(used_directory, durable=True)
    admin = database_url(used_directory, SUPERUSER, postgres.port)
    with connect(admin) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(postgres.pid, signal.SIGKILL)
    postgres.wait()
    assert postgres.exit_code == -signal.SIGKILL
    # By now the pid in the file that it left may belong to another process, here the same user's Valkey.
    pid_file = used_directory / "postgres" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(postgres.pid), str(valkey.pid), 1))
    again = start_postgres(used_directory, durable=True, port=postgres.port)
    os.kill(again.pid, signal.SIGKILL)  # and this time its pid is nobody's
    again.wait()
    again = start_postgres(used_directory, durable=True, port=postgres.port)
    with connect(admin) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    again.stop()

    with Redis.from_url(broker_url(used_directory, valkey.port)) as client:
        client.set("kept", "42")
        client.execute_command("WAITAOF", 1, 0, 5000)
    os.kill(valkey.pid, signal.SIGKILL)
    valkey.wait()
    valkey = start_valkey(used_directory, durable=True, port=valkey.port)
    with Redis.from_url(broker_url(used_directory, valkey.port)) as client:
        assert client.get("kept") == b"42"
    valkey.stop()
    valkey.stop()  # stopping twice is no error


def test_the_workers_login_gets_the_group_role_once_it_exists(used_directory: Path) -> None:
    with EmbeddedServers(used_directory, durable=False) as servers:
        admin = servers.urls.admin_database_url
        assert not grant_worker_role(admin)
        with connect(admin) as connection:
            connection.execute("CREATE ROLE runworker_worker")
            assert grant_worker_role(admin)
            assert grant_worker_role(admin)
            granted = connection.execute("SELECT pg_has_role('runworker_app', 'runworker_worker', 'USAGE')")
            assert granted.fetchone() == (True,)
            owned = connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'runworker_app'")
            assert owned.fetchone() == (False, False)


@only_root
def test_root_runs_the_servers_as_nobody(used_directory: Path) -> None:
    account = server_account()
    with owner(launch(used_directory)) as root:
        assert root.told["uid"] == 0
        for name in ("postgres_pid", "valkey_pid"):
            status = Path(f"/proc/{root.told[name]}/status").read_text()
            assert f"Uid:\t{account.uid}\t{account.uid}\t{account.uid}\t{account.uid}\n" in status
            assert f"Groups:\t{account.gid} \n" in status


@only_root
def test_root_runs_copies_of_wheels_that_nobody_cannot_read(directory: Path, tmp_path: Path) -> None:
    environment = copy_wheels(tmp_path)
    tmp_path.chmod(0o700)
    with owner(launch(directory, environment=environment)) as root:
        for name in ("postgres_pid", "valkey_pid"):
            running = Path(f"/proc/{root.told[name]}/exe").readlink()
            assert running.is_relative_to(directory / "programs")


@only_root
def test_an_ordinary_user_starts_servers_in_the_own_home() -> None:
    """As nobody, from an interpreter and a checkout that may lie in root's home, hence the one capability to read.

    It does not stretch to running what nobody may not run, so the wheels are put where nobody may.
    """
    user = server_account()
    readable = user.can_read(Path(sys.executable)) and user.can_read(OWNER)
    held = int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16)
    if not readable and not held >> CAP_DAC_READ_SEARCH & 1:
        pytest.skip("this root may not let another user read the interpreter")
    capability = "-all" if readable else "-all,+dac_read_search"
    identity = (f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
    prefix = ("setpriv", *identity, f"--inh-caps={capability}", f"--ambient-caps={capability}")
    with temporary_directory() as home:
        environment = copy_wheels(home / "wheels")
        for path in (home, *home.rglob("*")):
            user.own(path)
        kept = {name: value for name, value in environment.items() if not name.startswith(("COVERAGE", "XDG"))}
        with owner(launch(prefix=prefix, environment={**kept, "HOME": str(home)})) as ordinary:
            assert ordinary.told["uid"] == user.uid
            assert ordinary.told["directory"] == str(home / ".local/share/runworker")
            assert (home / ".local/share/runworker").stat().st_mode & 0o777 == 0o700
            ordinary.process.kill()
            ordinary.assert_servers_end()
