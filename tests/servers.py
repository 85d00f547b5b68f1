"""Fixtures: real servers for the session, and for each test a database and a broker of its own.

The servers are embedded ones, or those that RUNWORKER_DATABASE_URL and RUNWORKER_BROKER_URL name. The former's user
must be allowed to create databases (and roles, for `worker_database_url`); of the latter, databases 1 to 15 are
emptied. Nothing but the two URLs differs between the two. Each process that pytest-xdist starts is a session: it has
embedded servers of its own, or a share of the broker's databases.
"""

import os
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from redis import Redis
from sqlalchemy import URL, make_url

from runworker.embedded import EmbeddedServers, ServerUrls, temporary_directory

WORKER_GROUP = "runworker_worker"
"""The group role that the migrations create and that holds the worker's rights."""

READY_TEMPLATE = "RUNWORKER_TEST_TEMPLATE"
"""Names a template database that is there already, for many test runs on the same servers."""


@dataclass(frozen=True)
class Servers(ServerUrls):
    """Where the servers are, and a connection as administrator. durable: PostgreSQL waits for its disk."""

    administrator: psycopg.Connection = field(repr=False)
    durable: bool


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers, for fixtures. Tests take the URLs below."""
    given = [os.environ.get(name) for name in ("RUNWORKER_DATABASE_URL", "RUNWORKER_BROKER_URL")]
    match given:
        case [str(database), str(broker)]:
            with administered(ServerUrls(database, database, broker), durable=True) as servers:
                yield servers
        case [None, None]:
            with (
                temporary_directory() as directory,
                EmbeddedServers(directory, durable=False) as embedded,
                administered(embedded.urls, durable=False) as servers,
            ):
                yield servers
        case _:
            raise pytest.UsageError("set both RUNWORKER_DATABASE_URL and RUNWORKER_BROKER_URL, or neither")


@contextmanager
def administered(urls: ServerUrls, *, durable: bool) -> Iterator[Servers]:
    """The servers with the one connection that makes and drops all databases of the session."""
    with psycopg.connect(conninfo(urls.admin_database_url), autocommit=True) as administrator:
        yield Servers(**asdict(urls), administrator=administrator, durable=durable)


@pytest.fixture(scope="session")
def template_database(servers: Servers) -> Iterator[str]:
    """Name of the mould of `database_url`."""
    with (
        nullcontext(os.environ[READY_TEMPLATE]) if READY_TEMPLATE in os.environ else migrated_template(servers) as name
    ):
        yield name


@contextmanager
def migrated_template(servers: Servers) -> Iterator[str]:
    """Name of a database migrated to head, which nobody may connect to."""
    from runworker.migrations import upgrade  # noqa: PLC0415 - tests of the servers alone do without migrations

    with fresh_database(servers) as url:
        upgrade(_text(url))
        name = sql.Identifier(url.database or "")
        # A single connection left open would make every clone fail.
        close = sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
        servers.administrator.execute(close.format(name))
        yield url.database or ""
        servers.administrator.execute(sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE false").format(name))


@pytest.fixture
def database_url(servers: Servers, template_database: str) -> Iterator[str]:
    """SQLAlchemy URL of a migrated database of the test's own, as its owner."""
    with fresh_database(servers, template=template_database) as url:
        yield _text(url)


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """SQLAlchemy URL of an empty database of the test's own, as its owner."""
    with fresh_database(servers) as url:
        yield _text(url)


@pytest.fixture(scope="session")
def worker_login(servers: Servers, template_database: str) -> Iterator[tuple[str, str]]:
    """Name and password of a login with the worker's rights, who owns nothing."""
    name, password = f"runworker_test_{_suffix()}", secrets.token_hex()
    login = sql.Identifier(name)
    servers.administrator.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(login, password))
    servers.administrator.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(WORKER_GROUP), login))
    yield name, password
    servers.administrator.execute(sql.SQL("DROP ROLE {}").format(login))


@pytest.fixture
def worker_database_url(database_url: str, worker_login: tuple[str, str]) -> str:
    """The database of `database_url` as the worker sees it: with the rights of its group role and no more."""
    name, password = worker_login
    return _text(make_url(database_url).set(username=name, password=password))


def _share_of_broker_databases() -> range:
    """Never 0, where an external server's own data would be, and none of another process of the same test run."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return range(1 + number, 16, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


_free_broker_databases = deque(_share_of_broker_databases())


@contextmanager
def fresh_broker(servers: Servers) -> Iterator[str]:
    """URL of an empty database of the broker, nobody else's for as long as the block lasts."""
    database = _free_broker_databases.popleft()
    url = urlsplit(servers.broker_url)._replace(path=f"/{database}").geturl()
    with Redis.from_url(url) as client:
        client.flushdb()
    yield url
    _free_broker_databases.append(database)


@pytest.fixture
def broker_url(servers: Servers) -> Iterator[str]:
    """URL of a broker database of the test's own."""
    with fresh_broker(servers) as url:
        yield url


@contextmanager
def fresh_database(servers: Servers, template: str = "template1") -> Iterator[URL]:
    """A new database for as long as the block lasts, as its owner."""
    name = f"runworker_test_{_suffix()}"
    # Copying files costs two checkpoints, which are nearly free where no disk is waited for, and half of writing all
    # pages to the log as well.
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}")
    strategy = sql.SQL("WAL_LOG" if servers.durable else "FILE_COPY")
    servers.administrator.execute(create.format(sql.Identifier(name), sql.Identifier(template), strategy))
    try:
        yield make_url(servers.admin_database_url).set(drivername="postgresql+psycopg", database=name)
    finally:
        servers.administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def conninfo(url: str | URL) -> str:
    """A SQLAlchemy URL as psycopg takes it."""
    return _text(make_url(url).set(drivername="postgresql"))


def _suffix() -> str:
    """Unlike that of any other session on the same server, at the same time or killed before."""
    return f"{os.getpid()}_{secrets.token_hex(4)}"


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
