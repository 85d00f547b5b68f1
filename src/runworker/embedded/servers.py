"""Both servers together: started once a directory, found by every command that needs them."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from runworker.embedded import postgres, valkey
from runworker.embedded.account import server_account
from runworker.embedded.directories import DataDirectory, default_directory, storage_errors, write_private
from runworker.embedded.finding import ServerUrls, find_running, read_record
from runworker.embedded.locks import locked
from runworker.embedded.process import START_SECONDS, RunningServer, require_supported_caller
from runworker.errors import ServerError


class EmbeddedServers:
    """PostgreSQL and Valkey in a directory of the user's, as a context manager.

    with EmbeddedServers() as servers:
        servers.urls.database_url

    Where servers already run in the directory they are used, not started again, and whoever started them ends them:
    `owned` tells. Our own servers end with the block and, should this process die in any way, with it.
    Must be started from the main thread. durable: see start_postgres and start_valkey.
    """

    def __init__(self, directory: Path | None = None, *, durable: bool = True) -> None:
        self.directory = (directory or default_directory()).absolute()
        self.owned = False
        self._durable = durable
        self._running: list[RunningServer] = []
        self._urls: ServerUrls | None = None

    @property
    def urls(self) -> ServerUrls:
        """Where the servers are. Raises ServerError unless they are started."""
        if self._urls is None:
            raise ServerError("the embedded servers are not started; call start() or enter the with block first.")
        return self._urls

    @property
    def running(self) -> tuple[RunningServer, ...]:
        """The servers that were started here and not stopped; one that has died by itself is among them."""
        return tuple(self._running)

    def start(self) -> ServerUrls:
        """Find the directory's servers or start them. Raises ServerError, leaving none running, when one fails."""
        require_supported_caller()
        home = DataDirectory(self.directory)
        busy = f"another process has been starting servers in {self.directory} for too long; end it and try again."
        with storage_errors(self.directory):
            home.prepare(server_account())
            with locked(home.starting_lock, timeout=2 * START_SECONDS, if_busy=busy):
                self._urls = find_running(self.directory)
                if self._urls is None:
                    try:
                        self._urls = self._start_own(home)
                    except BaseException:
                        self.stop()
                        raise
        return self._urls

    def stop(self) -> None:
        """End the servers this object started, and wait for them; servers that it found are left running."""
        try:
            _withdraw(DataDirectory(self.directory).record, {server.pid for server in self._running})
        finally:
            for server in self._running:
                server.ask_to_stop()
            while self._running:
                self._running.pop().wait()
            self.owned = False
            self._urls = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_own(self, home: DataDirectory) -> ServerUrls:
        self.owned = True
        database = postgres.start_postgres(home.path, durable=self._durable)
        self._running.append(database)
        broker = valkey.start_valkey(home.path, durable=self._durable)
        self._running.append(broker)
        urls = ServerUrls(
            admin_database_url=postgres.database_url(home.path, postgres.SUPERUSER, database.port),
            database_url=postgres.database_url(home.path, postgres.WORKER_LOGIN, database.port),
            broker_url=valkey.broker_url(home.path, broker.port),
        )
        pids = {"postgres_pid": database.pid, "valkey_pid": broker.pid, "started_by_pid": os.getpid()}
        write_private(home.record, json.dumps({**asdict(urls), **pids}, indent=2))
        return urls


def _withdraw(record: Path, pids: set[int]) -> None:
    """Remove the record of servers that are about to end, unless it tells of others by now."""
    found = read_record(record)
    if found is not None and pids == {found["postgres_pid"], found["valkey_pid"]}:
        record.unlink(missing_ok=True)
