"""A migrated database with a small plant in it, shared by all guard tests: each rolls back what it did."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL
from tests.servers import Servers, conninfo, fresh_database


@pytest.fixture(scope="session")
def plant_url(servers: Servers, template_database: str) -> Iterator[URL]:
    """URL of the database, as the tables' owner."""
    with fresh_database(servers, template=template_database) as url:
        with psycopg.connect(conninfo(url)) as connection:
            connection.execute(Path(__file__).with_name("plant.sql").read_text())
        yield url


@pytest.fixture(scope="session")
def plant_connection(plant_url: URL) -> Iterator[psycopg.Connection]:
    """A connection for all tests: over a new one PostgreSQL would compile every guard again."""
    with psycopg.connect(conninfo(plant_url)) as connection:
        yield connection


@pytest.fixture
def connection(plant_connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """That connection, in a transaction that is rolled back after the test."""
    yield plant_connection
    plant_connection.rollback()
