"""PostgreSQL servers of which one is the primary and the others follow it, each behind a proxy of its own."""

import os
import random
import shutil
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from sqlalchemy import URL

from runworker.embedded import RunningServer, start_postgres
from runworker.embedded.directories import DataDirectory
from runworker.embedded.postgres import (
    CONNECT_SECONDS,
    DATABASE,
    SERVER,
    SUPERUSER,
    WORKER_LOGIN,
    connect,
    database_url,
    password_of,
)
from runworker.embedded.standby import promote, start_standby
from runworker.errors import ServerError
from runworker.simulation.chaos.proxy import HOST, Proxy
from runworker.simulation.chaos.waiting import wait_until

SETTINGS: Final[Mapping[str, str]] = {
    "max_connections": "60",
    "wal_keep_size": "256MB",  # a standby that was away finds all that it missed
    "wal_retrieve_retry_interval": "200ms",  # commits wait for a standby that waits for this
}
STEADY_PORTS: Final = range(20_000, 30_000)
"""Below those that Linux gives to connections, one of which could take the place of a server that is down."""


def steady_port() -> int:
    """A free port to which a server can come back."""
    for port in random.sample(STEADY_PORTS, k=100):
        with socket.socket() as listener:
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServerError(f"no port of {STEADY_PORTS.start} to {STEADY_PORTS.stop} is free.")


@dataclass
class ClusterNode:
    """One PostgreSQL. name: as a standby. proxy: what workers reach it through."""

    name: str
    directory: Path
    port: int
    proxy: Proxy
    server: RunningServer | None = None

    @property
    def data(self) -> Path:
        """Its data folder."""
        return DataDirectory(self.directory).data(SERVER)

    def connect(self) -> psycopg.Connection:
        """A connection as superuser past the proxy, each statement its own transaction."""
        return connect(database_url(self.directory, SUPERUSER, self.port))

    def execute(self, statement: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement as superuser past the proxy and return its rows, if it gives any."""
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description is not None else []

    def signal(self, number: signal.Signals) -> None:
        """Send the running server a signal."""
        if self.server is not None:
            os.kill(self.server.pid, number)


@dataclass
class Cluster:
    """The servers. Start, stop and promote them from the main thread; they end with it, however it ends."""

    folder: Path
    size: int = 2
    nodes: list[ClusterNode] = field(init=False)
    primary: ClusterNode = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = [self._node(f"node{number}") for number in range(1, self.size + 1)]
        self.primary = self.nodes[0]

    def _node(self, name: str) -> ClusterNode:
        port = steady_port()
        return ClusterNode(name, self.folder / name, port, Proxy(port))

    @property
    def standbys(self) -> list[ClusterNode]:
        """The nodes that follow the primary, or could."""
        return [node for node in self.nodes if node is not self.primary]

    def url(self, login: str, *, direct: bool) -> str:
        """SQLAlchemy's URL of whatever node is the primary at the time. direct: past the proxies."""
        ports = self._ports(direct=direct)
        url = URL.create(
            "postgresql+psycopg",
            username=login,
            password=self._password(login),
            database=DATABASE,
            query={"host": [f"{HOST}:{port}" for port in ports], "target_session_attrs": _wanted(direct=direct)},
        )
        return url.render_as_string(hide_password=False)

    def connect(self, login: str, *, direct: bool) -> psycopg.Connection:
        """A connection to whatever node is the primary, as a client with `url` makes it."""
        ports = self._ports(direct=direct)
        return psycopg.connect(
            host=",".join([HOST] * len(ports)),
            port=",".join(str(port) for port in ports),
            user=login,
            password=self._password(login),
            dbname=DATABASE,
            target_session_attrs=_wanted(direct=direct),
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
        )

    def start(self, node: ClusterNode | None = None) -> None:
        """Start the primary, or the node, on its data, and wait until it answers."""
        started = node or self.primary
        started.server = start_postgres(started.directory, durable=True, port=started.port, settings=SETTINGS)

    def stop(self, node: ClusterNode) -> None:
        """End a node cleanly."""
        if node.server is not None:
            node.server.stop()

    def crash(self) -> None:
        """End the primary with no time to tidy up."""
        # Killed alone, its postmaster would leave processes behind for a moment, which bar the next start.
        self.primary.signal(signal.SIGQUIT)
        if self.primary.server is not None:
            self.primary.server.wait()

    def follow(self, node: ClusterNode, through: Proxy | None = None) -> None:
        """Make the node a standby of the primary, copied anew, and wait until it has all that the primary has.

        through: a proxy before the primary, by which the node follows it.
        """
        self.stop(node)
        if node.data.exists():
            shutil.rmtree(node.data)
        node.server = start_standby(
            node.directory,
            primary=self.primary.directory,
            primary_port=through.port if through else self.primary.port,
            name=node.name,
            durable=True,
            port=node.port,
            settings=SETTINGS,
        )
        self.wait_for(node)

    def follows(self, node: ClusterNode) -> bool:
        """Whether the node has at this moment all that the primary has."""
        found = "SELECT FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
        return bool(self.primary.execute(found, node.name))

    def wait_for(self, node: ClusterNode) -> None:
        """Wait until the primary streams to the node."""
        wait_until(lambda: self.follows(node), f"{node.name} in step", passing=(psycopg.OperationalError,))

    def acknowledges(self) -> bool:
        """Whether the primary takes writes through the proxies, and has the standby that its commits wait for."""
        self.connect(WORKER_LOGIN, direct=False).close()
        found = self.primary.execute(
            "SELECT FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = ''"
            " UNION ALL SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
        )
        return bool(found)

    def acknowledge_by(self, names: str) -> None:
        """Set `synchronous_standby_names`: which standbys have to have a commit before it is told. Empty: none."""
        with self.primary.connect() as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        wait_until(self.acknowledges, "a standby that acknowledges", passing=(psycopg.OperationalError,))

    def demote(self) -> None:
        """Stop the primary and start it as a standby that follows nobody; `promote` makes it the primary again."""
        self.stop(self.primary)
        (self.primary.data / "standby.signal").touch()
        self.start()

    def promote(self, node: ClusterNode) -> None:
        """Make the node the primary. Standbys of the one before have to follow it anew."""
        promote(database_url(node.directory, SUPERUSER, node.port))
        node.execute("ALTER SYSTEM RESET primary_conninfo")  # or it would follow its follower, were it demoted
        self.primary = node

    def fail_over(self, node: ClusterNode) -> None:
        """Make the node the primary. It tells commits at once, for nobody follows it yet."""
        self.promote(node)
        self.acknowledge_by("")

    def _ports(self, *, direct: bool) -> list[int]:
        return [node.port if direct else node.proxy.port for node in self.nodes]

    def _password(self, login: str) -> str:
        return password_of(self.nodes[0].directory, login)

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            if node.server is not None:
                node.server.ask_to_stop()
        for node in self.nodes:
            if node.server is not None:
                node.server.wait()


def _wanted(*, direct: bool) -> str:
    # A primary that refuses to write for the moment is a fault to workers, and has to be seen past the proxies.
    return "primary" if direct else "read-write"
