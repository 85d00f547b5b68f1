"""No revision drops anything that is not counted before a downgrade."""

import psycopg
from tests.servers import conninfo

from runworker import migrations, revisions
from runworker.losses import LOSSES

NOBODYS_RECORD = {"command_claims"}


def columns(url: str) -> set[tuple[str, str]]:
    with psycopg.connect(conninfo(url)) as connection:
        there = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        return {(table, column) for table, column in connection.execute(there) if table != "alembic_version"}


def test_no_revision_drops_what_is_not_counted(empty_database_url: str) -> None:
    migrations.upgrade(empty_database_url)
    for revision in reversed(revisions.known()[1:]):
        before = columns(empty_database_url)
        migrations.downgrade(empty_database_url, "-1")
        after = columns(empty_database_url)
        gone = before - after
        tables = {table for table, _ in gone} - {table for table, _ in after} - NOBODYS_RECORD
        counted = LOSSES.get(revision, ())
        assert {loss.table for loss in counted if not loss.columns} == tables, revision
        listed = {(loss.table, column) for loss in counted for column in loss.columns}
        assert {(table, column) for table, column in gone if table not in tables | NOBODYS_RECORD} <= listed, revision
        assert listed <= before, revision
