"""`python -m tests.schema_file` writes `runworker/data/schema.json`: what the migrations make of an empty database."""

import sys
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, pool
from tests.servers import administered, fresh_database

from runworker.embedded import EmbeddedServers, temporary_directory
from runworker.migrations import upgrade
from runworker.verification.schema import as_json

FILE: Final = Path(__file__).parents[1] / "src/runworker/data/schema.json"


def what_it_should_be(url: str) -> str:
    """The file's contents, by a database that was migrated from nothing."""
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        return as_json(connection)


def main() -> None:
    """Migrate an empty database on servers of its own, and write the file."""
    with (
        temporary_directory() as directory,
        EmbeddedServers(directory, durable=False) as embedded,
        administered(embedded.urls, durable=False) as servers,
        fresh_database(servers) as url,
    ):
        text = url.render_as_string(hide_password=False)
        upgrade(text)
        FILE.write_text(what_it_should_be(text), encoding="utf-8")
    sys.stderr.write(f"wrote {FILE}\n")


if __name__ == "__main__":
    main()
