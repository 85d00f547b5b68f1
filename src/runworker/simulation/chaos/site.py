"""Servers of one's own to do harm to: a PostgreSQL with a standby, a Valkey, and a proxy before each."""

import signal
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import psycopg
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from runworker.config import Settings
from runworker.embedded import RunningServer, grant_worker_role, start_valkey, temporary_directory
from runworker.embedded.postgres import SUPERUSER, WORKER_LOGIN, database_url
from runworker.embedded.valkey import broker_url
from runworker.migrations import upgrade
from runworker.simulation.chaos.cluster import Cluster, steady_port
from runworker.simulation.chaos.proxy import Proxy
from runworker.simulation.chaos.waiting import wait_until

ANSWER_SECONDS: Final = 5
PROBE: Final = "runworker:chaos:probe"
DURABLE: Final[Mapping[str, str]] = {"appendfsync": "always"}


class ChaosSite:
    """The servers, in a temporary directory, for as long as the block lasts.

    standbys: how many follow the primary; each commit waits for one of them.
    Use it, and enter and leave faults, in the main thread: servers start there, and end with it however it ends.
    settings: of workers; their URLs lead through the proxies, and nothing
    in the environment changes them. owner_url, broker_url: past the proxies, the former to what is the primary then.
    """

    settings: Settings
    owner_url: str
    broker_url: str
    cluster: Cluster
    broker: Redis
    broker_proxy: Proxy

    def __init__(self, *, standbys: int = 1) -> None:
        self._standbys = standbys

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._directory = stack.enter_context(temporary_directory())
            self._start_postgres(stack)
            self._broker_port = steady_port()
            self.broker_proxy = stack.enter_context(Proxy(self._broker_port))
            self.start_broker()
            stack.callback(self._stop_broker)
            self.broker_url = broker_url(self._directory, self._broker_port)
            self.broker = stack.enter_context(
                Redis.from_url(self.broker_url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
            )
            self.owner_url = self.cluster.url(SUPERUSER, direct=True)
            self.settings = self._settings()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def start_broker(self) -> None:
        """Start Valkey where it was, on the data that it had; what it accepted it has on disk."""
        # A server that stands still (SIGSTOP) when this process dies hears no other signal.
        self.broker_server: RunningServer = start_valkey(
            self._directory,
            durable=True,
            port=self._broker_port,
            settings=DURABLE,
            death_signal=signal.SIGKILL,
        )

    def restore(self) -> None:
        """Make what a fault has cost the site for good: a standby in step, for which commits wait."""
        for node in self.cluster.standbys:
            if not self.cluster.follows(node):
                self.cluster.follow(node)
        self.cluster.acknowledge_by("*")

    def await_broker(self) -> None:
        """Wait until the broker takes writes."""
        wait_until(lambda: self.broker.set(PROBE, "1", px=1), "a broker that takes writes", passing=(RedisError,))

    def await_postgres(self) -> None:
        """Wait until PostgreSQL takes writes through the proxies, and has the standby that commits wait for."""
        wait_until(self.cluster.acknowledges, "a PostgreSQL that takes writes", passing=(psycopg.OperationalError,))

    def _start_postgres(self, stack: ExitStack) -> None:
        self.cluster = Cluster(self._directory, size=1 + self._standbys)
        for node in self.cluster.nodes:
            stack.enter_context(node.proxy)
        stack.callback(self.cluster.close)
        self.cluster.start()
        owner = database_url(self.cluster.primary.directory, SUPERUSER, self.cluster.primary.port)
        upgrade(owner)
        grant_worker_role(owner)
        self.restore()

    def _stop_broker(self) -> None:
        self.broker_server.stop()  # of those that were started one after the other, the last

    def _settings(self) -> Settings:
        url = broker_url(self._directory, self.broker_proxy.port)
        # Each is given, or a worker would look for it in its environment: nothing may lead to servers of others.
        given = {name: field.default for name, field in Settings.model_fields.items()} | {
            "database_url": SecretStr(self.cluster.url(WORKER_LOGIN, direct=False)),
            "migration_url": SecretStr(self.owner_url),
            "broker_url": SecretStr(url),
            "result_backend_url": SecretStr(url),
        }
        return Settings(_env_file=None, **given)
