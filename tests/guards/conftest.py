"""A migrated database with a small plant in it, shared by all guard tests: each rolls back what it did."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from runworker.embedded import ServerUrls


def _connect(url: str, **options: bool) -> psycopg.Connection:
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False), **options)


@pytest.fixture(scope="session")
def plant_url(servers: ServerUrls, template_database: str) -> Iterator[str]:
    """URL of the database, as the tables' owner."""
    name = f"runworker_test_plant_{secrets.token_hex(4)}"
    with _connect(servers.admin_database_url, autocommit=True) as administrator:
        administrator.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template_database))
        )
        url = make_url(servers.admin_database_url).set(database=name).render_as_string(hide_password=False)
        with _connect(url) as connection:
            connection.execute(Path(__file__).with_name("plant.sql").read_text())
        yield url
        administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def connection(plant_url: str) -> Iterator[psycopg.Connection]:
    """A connection in a transaction that is rolled back after the test."""
    with _connect(plant_url) as connection:
        yield connection
        connection.rollback()
