"""The worker's role belongs to the whole cluster, so these tests have a cluster of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url
from tests.clusters import copy_of
from tests.servers import conninfo

from runworker import migrations
from runworker.embedded import start_postgres
from runworker.embedded.postgres import SUPERUSER, database_url

WORK = "SET ROLE runworker_worker; UPDATE lots SET step_index = 1; SELECT FROM audit_events"
DATABASES = ("plant", "other_plant")


@dataclass(frozen=True)
class Cluster:
    """A server without the worker's role. Each database belongs to its login, of the same name."""

    administrator: URL

    def owner(self, database: str) -> str:
        url = self.administrator.set(username=database, password=database, database=database)
        return url.render_as_string(hide_password=False)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(conninfo(self.administrator.set(database=database)), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def has_role(self) -> bool:
        return self.run("SELECT rolname FROM pg_roles WHERE rolname = 'runworker_worker'") != []


@pytest.fixture(scope="module")
def own_server(first_cluster: Path) -> Iterator[URL]:
    with copy_of(first_cluster) as directory:
        server = start_postgres(directory, durable=False)
        try:
            yield make_url(database_url(directory, SUPERUSER, server.port))
        finally:
            server.stop()


@pytest.fixture
def cluster(own_server: URL) -> Iterator[Cluster]:
    cluster = Cluster(own_server)
    for name in DATABASES:
        cluster.run(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        cluster.run(f"CREATE DATABASE {name} OWNER {name}")
    yield cluster
    for name in DATABASES:
        cluster.run(f"DROP DATABASE {name} WITH (FORCE)")
    cluster.run("DROP ROLE IF EXISTS runworker_worker, plant_worker")
    for name in DATABASES:
        cluster.run(f"DROP ROLE {name}")


def test_owner_who_may_not_create_roles_gets_the_sql(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    migrations.upgrade(cluster.owner("plant"))

    said = capfd.readouterr()
    assert migrations.current(cluster.owner("plant")) == migrations.newest()
    assert not cluster.has_role()
    assert said.out == ""
    assert "Ask an administrator to run" in said.err
    for line in said.err.splitlines():
        if line.startswith("    "):
            cluster.run(line, database="plant")
    cluster.run(WORK, database="plant")


def test_owner_who_may_not_create_roles_uses_the_one_there(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    cluster.run("CREATE ROLE runworker_worker NOLOGIN")

    migrations.upgrade(cluster.owner("plant"))

    assert "administrator" not in capfd.readouterr().err
    cluster.run(WORK, database="plant")
    migrations.downgrade(cluster.owner("plant"), "base")
    assert cluster.has_role(), "it is not this owner's to drop"


def test_role_comes_and_goes_with_an_owner_who_may_create_roles(cluster: Cluster) -> None:
    cluster.run("ALTER ROLE plant CREATEROLE")

    migrations.upgrade(cluster.owner("plant"))
    assert cluster.has_role()
    migrations.downgrade(cluster.owner("plant"), "base")

    assert not cluster.has_role()


def test_role_stays_while_another_database_grants_it_anything(cluster: Cluster) -> None:
    cluster.run("ALTER ROLE plant CREATEROLE")
    for name in DATABASES:
        migrations.upgrade(cluster.owner(name))

    migrations.downgrade(cluster.owner("plant"), "base")

    assert cluster.has_role()
    cluster.run(WORK, database="other_plant")


def test_role_stays_while_it_has_members(cluster: Cluster) -> None:
    cluster.run("ALTER ROLE plant CREATEROLE")
    migrations.upgrade(cluster.owner("plant"))
    cluster.run("CREATE ROLE plant_worker LOGIN IN ROLE runworker_worker")

    migrations.downgrade(cluster.owner("plant"), "base")
    migrations.upgrade(cluster.owner("plant"))

    assert cluster.run("SELECT pg_has_role('plant_worker', 'runworker_worker', 'MEMBER')") == [(True,)]
