"""The embedded Valkey, a Redis-protocol server: broker and result store."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from runworker.embedded import credentials, programs
from runworker.embedded.account import Account, server_account
from runworker.embedded.directories import DataDirectory, storage_errors, write_private
from runworker.embedded.locks import locked
from runworker.embedded.process import (
    HOST,
    NO_MORE,
    STOP_SECONDS,
    Recipe,
    RunningServer,
    require_supported_caller,
    start,
)

SERVER: Final = "valkey"
LOGIN: Final = "default"
CONNECT_SECONDS: Final = 5

# Snapshots stay off: the append-only file keeps the data, and a failing snapshot would stop all writes.
SETTINGS: Final = {
    "bind": HOST,
    "daemonize": "no",
    "dir": "./",
    "maxmemory-policy": "noeviction",
    "save": '""',
}
DURABLE: Final = {"appendonly": "yes", "appendfsync": "everysec"}
NOT_DURABLE: Final = {"appendonly": "no"}


def start_valkey(
    directory: Path,
    *,
    durable: bool,
    port: int | None = None,
    settings: Mapping[str, str] = NO_MORE,
    death_signal: signal.Signals = signal.SIGTERM,
) -> RunningServer:
    """Start Valkey on the data in directory.

    durable: keep an append-only file, at most a second behind; otherwise nothing outlives the server.
    port: a free one unless given. settings: Valkey's, before ours. death_signal: what the kernel sends when this
    process dies; one that the caller means to stop for a while (SIGSTOP) hears SIGKILL only. Raises ServerError, with
    what to do, when the server cannot run.
    """
    require_supported_caller()
    home, account = DataDirectory(directory), server_account()
    with storage_errors(directory):
        home.prepare(account)
        busy = f"another Valkey still uses {home.data(SERVER)}; stop the process that started it."
        with locked(home.lock(SERVER), timeout=STOP_SECONDS, if_busy=busy) as lock:
            program = programs.find_program(programs.VALKEY, account, home.programs)
            password = credentials.load_or_generate(home.passwords(SERVER), [LOGIN])[LOGIN]
            chosen = SETTINGS | (DURABLE if durable else NOT_DURABLE) | dict(settings) | {"requirepass": password}
            _write_configuration(home.data(SERVER), account, chosen)
            return start(_recipe(home, program, death_signal), account=account, lock=lock, port=port)


def broker_url(directory: Path, port: int) -> str:
    """The server's URL, password included, database 0. With the user's name, which redis-cli needs to be given."""
    password = credentials.load(DataDirectory(directory).passwords(SERVER))[LOGIN]
    return f"redis://{LOGIN}:{password}@{HOST}:{port}/0"


def ping(url: str) -> None:
    """Raise a RedisError unless the server at url answers and has loaded its data."""
    with Redis.from_url(url, socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS) as client:
        client.ping()


def _write_configuration(folder: Path, account: Account, settings: Mapping[str, str]) -> None:
    """Settings go through a file because everybody can read a command line."""
    folder.mkdir(mode=0o700, exist_ok=True)
    account.own(folder)
    path = folder / "valkey.conf"
    write_private(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
    account.own(path)


def _recipe(home: DataDirectory, program: Path, death_signal: signal.Signals) -> Recipe:
    return Recipe(
        name="Valkey",
        command=lambda port: [str(program), "valkey.conf", "--port", str(port)],
        probe=lambda port: ping(broker_url(home.path, port)),
        not_ready=(RedisError,),
        stop_signal=signal.SIGTERM,
        death_signal=death_signal,
        folder=home.data(SERVER),
        log=home.log(SERVER),
    )
