"""`python -m tests.schema_file` writes `runworker/data/schema.json`: what each revision makes of an empty database."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, pool
from tests.servers import administered, fresh_database

from runworker import revisions
from runworker.embedded import EmbeddedServers, temporary_directory
from runworker.migrations import upgrade
from runworker.verification.catalogue import catalogue, functions
from runworker.verification.schema import Expected, as_json

FILE: Final = Path(__file__).parents[1] / "src/runworker/data/schema.json"


def what_it_should_be(url: str) -> str:
    """The file's contents, by migrating an empty database revision by revision."""
    return as_json(_made(url))


def _made(url: str) -> Iterator[Expected]:
    for revision in revisions.known():
        upgrade(url, revision)
        with create_engine(url, poolclass=pool.NullPool).connect() as connection:
            yield Expected(revision, catalogue(connection, functions(connection)))


def main() -> None:
    """Migrate an empty database on servers of its own, and write the file."""
    with (
        temporary_directory() as directory,
        EmbeddedServers(directory, durable=False) as embedded,
        administered(embedded.urls, durable=False) as servers,
        fresh_database(servers) as url,
    ):
        text = url.render_as_string(hide_password=False)
        FILE.write_text(what_it_should_be(text), encoding="utf-8")
    sys.stderr.write(f"wrote {FILE}\n")


if __name__ == "__main__":
    main()
