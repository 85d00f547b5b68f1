"""Sets up servers for the benchmark, databases of its own on them, and a plant in each.

Nothing is measured in a database that holds anything else: on servers that settings name, databases are created
beside the one that they name, and dropped at the end.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
from psycopg import sql
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import URL, create_engine, make_url

from runworker.config import Settings
from runworker.embedded import EmbeddedServers
from runworker.embedded.postgres import grant_worker_role
from runworker.migrations import upgrade
from runworker.servers import filled, lacks_database, lacks_servers, owner_url
from runworker.simulation.master_data import PLANT_FLOW, MasterData, bring_in
from runworker.states import UserRole

POSTGRES_SETTINGS: Final = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


@dataclass(frozen=True)
class PlantDatabase:
    """A migrated database with a user and a published flow of eleven steps.

    settings: of a worker, with the worker's rights. url: SQLAlchemy's, as the tables' owner.
    """

    settings: Settings
    url: str
    manager: str
    flow_version_id: str

    @property
    def conninfo(self) -> str:
        """`url` as psycopg and pgbench take it."""
        return make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def broker_url(self) -> str:
        """The broker, password included."""
        assert self.settings.broker_url is not None  # noqa: S101 - for the type; Testbed filled it in
        return self.settings.broker_url.get_secret_value()


class Testbed:
    """Servers for one run of the benchmark. Databases that it makes are dropped by `close`.

    embedded: PostgreSQL is our own, so that its administrator is a superuser.
    """

    def __init__(self, settings: Settings, *, embedded: bool) -> None:
        self.settings = settings
        self.embedded = embedded
        self.mark = f"runworker_bench_{secrets.token_hex(4)}"
        self._made: list[str] = []

    def plant(self, name: str) -> PlantDatabase:
        """A new database with all of runworker's tables in it, a user and a flow."""
        url = self.database(name)
        upgrade(url)
        if self.embedded:
            grant_worker_role(url)
        data = _master_data(url)
        return self._plant(url, str(data.people[UserRole.MANAGER]), str(data.flows[PLANT_FLOW].version_id))

    def copy(self, plant: PlantDatabase, name: str) -> PlantDatabase:
        """The same plant once more, in a database of its own. Nobody may be connected to the first."""
        url = self.database(name, template=str(make_url(plant.url).database))
        return self._plant(url, plant.manager, plant.flow_version_id)

    def database(self, name: str, template: str = "template1") -> str:
        """A new database; its SQLAlchemy URL as its owner."""
        whole = f"{self.mark}_{name}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with self._administrator() as connection:
            connection.execute(create.format(sql.Identifier(whole), sql.Identifier(template)))
        self._made.append(whole)
        return _text(make_url(owner_url(self.settings)).set(drivername="postgresql+psycopg", database=whole))

    def description(self) -> dict[str, Any]:
        """Names and versions of the servers, and how much they promise to keep."""
        with self._administrator() as connection:
            postgres = {
                name: connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()[0]
                for name in POSTGRES_SETTINGS
            }
        with Redis.from_url(self.settings.broker_url.get_secret_value(), decode_responses=True) as broker:
            info = broker.info("server")
            kept = broker.config_get("append*")
        return {
            "postgres": postgres,
            "broker": {
                "name": info.get("server_name", "redis"),
                "version": info.get("valkey_version", info.get("redis_version")),
                "appendonly": kept.get("appendonly"),
                "appendfsync": kept.get("appendfsync"),
            },
        }

    def close(self) -> None:
        """Drop the databases, and what the benchmark's queues left in the broker."""
        with Redis.from_url(self.settings.broker_url.get_secret_value()) as broker:
            for key in broker.scan_iter(f"*{self.mark}*"):
                broker.delete(key)
        if self.embedded:
            return  # they end with their directory
        with self._administrator() as connection:
            for name in self._made:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _plant(self, url: str, manager: str, version: str) -> PlantDatabase:
        given = self.settings.database_url
        worker = make_url(given.get_secret_value() if given else owner_url(self.settings))
        settings = self.settings.model_copy(
            update={
                "database_url": SecretStr(_text(worker.set(database=make_url(url).database))),
                "migration_url": None,
                "log_level": "WARNING",
                "queue": self.mark,
            }
        )
        return PlantDatabase(settings, url, manager, version)

    def _administrator(self) -> psycopg.Connection:
        url = make_url(owner_url(self.settings)).set(drivername="postgresql")
        return psycopg.connect(_text(url), autocommit=True)


@contextmanager
def open_testbed(given: Settings, directory: Path) -> Iterator[Testbed]:
    """Servers that settings name, or durable embedded ones in `directory` that end with the block.

    Call it from the main thread. Raises ServerError where one cannot be started.
    """
    with ExitStack() as stack:
        settings = given
        if lacks_servers(given):
            servers = stack.enter_context(EmbeddedServers(directory, durable=True))
            settings = filled(given, servers.urls)
        ours = Testbed(settings, embedded=lacks_database(given))
        stack.callback(ours.close)
        yield ours


def _master_data(url: str) -> MasterData:
    database = create_engine(url)
    try:
        return bring_in(database, uuid4())
    finally:
        database.dispose()


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
