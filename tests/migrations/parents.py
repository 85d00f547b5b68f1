"""Databases as the plant's older system left them, with rows, and what tells whether one was changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import make_url
from tests.servers import Servers, conninfo, fresh_database

SCHEMA: Final = Path(__file__).with_name("parent.sql").read_text()
ROWS: Final = Path(__file__).with_name("legacy.sql").read_text()

_PICTURE: Final = """
    SELECT md5(string_agg(said, E'\\n' ORDER BY said)) FROM (
        SELECT concat_ws(' ', oid, relname, relkind, relfilenode, relowner, relacl::text, reloptions::text)
        FROM pg_class
        WHERE relnamespace <> 'pg_toast'::regnamespace
        UNION ALL SELECT t::text FROM pg_attribute AS t
        UNION ALL SELECT t::text FROM pg_attrdef AS t
        UNION ALL SELECT t::text FROM pg_constraint AS t
        UNION ALL SELECT t::text FROM pg_type AS t
        UNION ALL SELECT t::text FROM pg_enum AS t
        UNION ALL SELECT t::text FROM pg_proc AS t
        UNION ALL SELECT t::text FROM pg_trigger AS t
        UNION ALL SELECT t::text FROM pg_policy AS t
        UNION ALL SELECT t::text FROM pg_depend AS t
    ) AS thing (said)
"""
_TABLES: Final = (
    "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


def run(url: str, statements: str) -> list[Any]:
    """Run statements as the owner, and return the rows of the last."""
    with psycopg.connect(conninfo(url), client_encoding="UTF8") as connection:
        cursor = connection.execute(statements)
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []


def picture(url: str) -> list[Any]:
    """The whole catalogue and all rows, as hashes: alike only where nothing was changed."""
    rows = [
        run(url, f"SELECT '{table}', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} AS t")  # noqa: S608 - from the catalogue
        for (table,) in run(url, f"{_TABLES} ORDER BY 1")
    ]
    return [run(url, _PICTURE), *rows]


@contextmanager
def parent_template(servers: Servers) -> Iterator[str]:
    """Name of a database to copy: the older system's tables and rows."""
    with fresh_database(servers) as url:
        run(url.render_as_string(hide_password=False), SCHEMA + ROWS)
        yield url.database or ""


@contextmanager
def parent_in(servers: Servers, options: str) -> Iterator[str]:
    """URL of an empty database that is created with options: "ENCODING 'LATIN2'"."""
    name = f"{make_url(servers.admin_database_url).database}_odd"
    servers.administrator.execute(f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' {options}")
    try:
        url = make_url(servers.admin_database_url).set(drivername="postgresql+psycopg", database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        servers.administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
