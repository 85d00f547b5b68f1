"""A plant that is taken over goes on: readers and writers of the older system see no error, and no table is rewritten.

`LOTS=1000000` takes a million. How long anybody waits is measured by `python -m benchmarks.takeover`.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from benchmarks.takeover import TABLES, at_work, files_of, make_past
from sqlalchemy import make_url
from tests.servers import conninfo

from runworker import migrations, online_changes
from runworker.errors import Unavailable

LOTS = int(os.environ.get("LOTS", "20000"))
FEW = 300
BASELINE = "20260124_add_flow_definitions"
BEFORE_LOTS = "20261129_4_runs_and_steps"

END_THE_SESSION_AT_ROW_150 = """
    CREATE SEQUENCE rows;
    CREATE FUNCTION end_the_session() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('rows') = 150 THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        RETURN NEW;
    END
    $$;
    CREATE TRIGGER end_the_session BEFORE UPDATE ON lots FOR EACH ROW EXECUTE FUNCTION end_the_session()
"""
LEFT = "SELECT count(*) FILTER (WHERE status IS NULL), count(status) FROM lots"


def _run(url: str, statement: str) -> list[Any]:
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _impatient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    """Migrations ask for locks so many seconds long."""
    of_url = migrations.alembic_config

    def config(url: str) -> Any:
        made = of_url(url)
        made.attributes["lock_patience"] = seconds
        return made

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "alembic_config", config)
        yield


def test_a_reader_and_a_writer_go_on(empty_database_url: str, record_property: Callable[[str, object], None]) -> None:
    make_past(empty_database_url, LOTS)
    before = files_of(conninfo(empty_database_url))

    with at_work(conninfo(empty_database_url), LOTS) as plant:
        migrations.upgrade(empty_database_url)

    record_property(
        f"{LOTS} lots taken over",
        f"longest read {max(plant.reader.seconds):.3f} s, longest write {max(plant.writer.seconds):.3f} s,"
        f" longest wait for a lock {plant.lock_wait:.3f} s",
    )
    assert plant.reader.errors == plant.writer.errors == []
    assert len(plant.reader.seconds) > 10
    assert len(plant.writer.seconds) > 10
    assert files_of(conninfo(empty_database_url)) == before, "a table was rewritten"
    assert migrations.check(empty_database_url) == []
    assert _run(empty_database_url, "SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
    assert _run(empty_database_url, "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") == []
    statuses = _run(empty_database_url, "SELECT DISTINCT status FROM lots WHERE lot_code LIKE 'LOT-%'")
    assert {status for (status,) in statuses} == {"REJECTED", "HOLD", "FINISHED", "CONSUMED", "RELEASED"}


def test_rows_are_read_under_no_lock_that_keeps_others_out(
    empty_database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL says which tables it reads or rewrites for an ALTER TABLE. Only `validate` may have it read one."""
    make_past(empty_database_url, FEW)
    _run(empty_database_url, f"ALTER DATABASE {make_url(empty_database_url).database} SET client_min_messages = debug1")
    notices = logging.getLogger("sqlalchemy.dialects.postgresql")
    validate = online_changes.validate

    def validate_unheard(table: str, *constraints: str) -> None:
        monkeypatch.setattr(notices, "disabled", True)
        validate(table, *constraints)
        monkeypatch.setattr(notices, "disabled", False)

    monkeypatch.setattr(online_changes, "validate", validate_unheard)
    with caplog.at_level(logging.INFO, notices.name):
        migrations.upgrade(empty_database_url)

    assert "are sufficient to prove that it does not contain nulls" in caplog.text
    said = re.findall(r"((?:verifying|rewriting) table|validating foreign key constraint) \"(\w+)\"", caplog.text)
    assert ("verifying table", "flow_versions") in said, "a small one"
    assert [(what, table) for what, table in said if table in TABLES] == []


def test_an_interrupted_backfill_goes_on(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_changes, "BATCH", 100)
    make_past(empty_database_url, FEW)
    _run(empty_database_url, END_THE_SESSION_AT_ROW_150)

    with pytest.raises(Unavailable, match="connection to the database was lost"):
        migrations.upgrade(empty_database_url)

    assert _run(empty_database_url, LEFT) == [(FEW - 100, 100)]
    assert migrations.current(empty_database_url) == BASELINE
    _run(empty_database_url, "DROP TRIGGER end_the_session ON lots; DROP FUNCTION end_the_session; DROP SEQUENCE rows")
    migrations.upgrade(empty_database_url)
    assert _run(empty_database_url, LEFT) == [(0, FEW)]
    assert migrations.check(empty_database_url) == []


def test_a_row_that_somebody_holds_is_asked_for_again(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_past(empty_database_url, FEW)

    with psycopg.connect(conninfo(empty_database_url)) as other, _impatient(monkeypatch, 0.1):
        other.execute("UPDATE lots SET weight_kg = 11 WHERE lot_code = 'LOT-7'")
        with pytest.raises(Unavailable, match=r"kept a lock on lots for 0.1 s.*goes on from there"):
            migrations.upgrade(empty_database_url)
    migrations.upgrade(empty_database_url)

    assert _run(empty_database_url, "SELECT count(*) FROM lots WHERE weight_kg = 11") == [(1,)]
    assert migrations.check(empty_database_url) == []


@pytest.mark.parametrize("there", ["INVALID", "valid"])
def test_an_index_that_was_begun_is_there_in_the_end(empty_database_url: str, there: str) -> None:
    migrations.upgrade(empty_database_url, BEFORE_LOTS)
    _run(empty_database_url, "CREATE INDEX idx_lots_production_run ON lots (production_run_id)")
    if there == "INVALID":
        _run(
            empty_database_url,
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_lots_production_run'::regclass",
        )

    migrations.upgrade(empty_database_url)

    assert _run(empty_database_url, "SELECT FROM pg_index WHERE NOT indisvalid") == []
    assert migrations.check(empty_database_url) == []


def test_a_long_transaction_holds_up_nobody_else(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a lock that the migration waits for and does not get, others wait for a moment each time."""
    make_past(empty_database_url, FEW)

    with psycopg.connect(conninfo(empty_database_url)) as report, _impatient(monkeypatch, 3):
        report.execute("SELECT count(*) FROM lots")
        with at_work(conninfo(empty_database_url), FEW) as plant, pytest.raises(Unavailable, match="a lock on lots"):
            migrations.upgrade(empty_database_url)

    assert plant.reader.errors == plant.writer.errors == []
    assert len(plant.writer.seconds) > 10
    assert migrations.current(empty_database_url) == BASELINE


def test_an_enum_keeps_its_values_in_the_order_of_the_process(empty_database_url: str) -> None:
    """A legacy type stands before those that took its place, and a downgrade leaves the legacy ones alone."""
    values = "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum"
    migrations.upgrade(empty_database_url)
    up = _run(empty_database_url, values)
    migrations.downgrade(empty_database_url, BEFORE_LOTS)
    down = _run(empty_database_url, values)
    migrations.upgrade(empty_database_url)

    assert up == [("RAW DEB BULK MIX SKW SKW15 SKW30 FRZ FRZ15 FRZ30 FG FG15 FG30 PAL SHIP",)]
    assert down == [("RAW DEB BULK MIX SKW FRZ FG PAL SHIP",)]
    assert _run(empty_database_url, values) == up
