"""Up, down and up again on rows of an older system: none is lost, and each ends where the plan says."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers import conninfo

from runworker import migrations
from runworker.errors import ConfigurationError

BASELINE = "20260124_add_flow_definitions"
TABLES = (
    "users", "scenarios", "streams", "qc_gates", "phases", "flow_definitions", "flow_versions", "production_runs",
    "lots", "lot_genealogy", "qc_decisions",
)  # fmt: skip
LEGACY = Path(__file__).with_name("legacy.sql")
PLANT = Path(__file__).parents[1] / "guards" / "plant.sql"
NEWER_ROWS = """
INSERT INTO production_runs (run_code, flow_version_id) VALUES ('given up', md5('flow B 1')::uuid);
UPDATE production_runs SET status = 'ABORTED', ended_at = now(), status_reason = 'power failure'
WHERE run_code = 'given up';
UPDATE production_runs SET status = 'ARCHIVED' WHERE run_code = 'given up';
INSERT INTO lots (lot_code, lot_type, sku_type, step_index, metadata)
SELECT type, type::lot_type, right(type, 2), 5, '{"colour": "red"}'
FROM unnest(ARRAY['SKW15', 'SKW30', 'FRZ15', 'FRZ30', 'FG15', 'FG30']) AS type;
INSERT INTO lots (lot_code, lot_type, sku_type) VALUES ('a pallet of 30', 'PAL', '30');
UPDATE lots SET status = 'QUARANTINE' WHERE lot_code = 'SKW15';
UPDATE lots SET status = 'REJECTED', status_reason = 'smells of smoke' WHERE lot_code = 'SKW15';
"""


class Legacy:
    """A database that began at the baseline with an older system's rows."""

    def __init__(self, url: str) -> None:
        self.url = url
        migrations.upgrade(url, BASELINE)
        self.run(LEGACY.read_text())

    def run(self, statements: str) -> list[Any]:
        with psycopg.connect(conninfo(self.url)) as connection:
            cursor = connection.execute(statements)
            return cursor.fetchall() if cursor.description else []

    def counts(self) -> dict[str, int]:
        return {table: self.run(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}  # noqa: S608 - named above

    def runs(self) -> dict[str, str]:
        return dict(self.run("SELECT run_code, status FROM production_runs"))

    def versions(self, flow: str) -> dict[int, str]:
        select = "SELECT version_num, status FROM flow_versions WHERE flow_definition_id = md5('{}')::uuid"
        return dict(self.run(select.format(flow)))

    def lots(self, columns: str) -> dict[str, Any]:
        return {code: rest for code, *rest in self.run(f"SELECT lot_code, {columns} FROM lots")}  # noqa: S608 - named below


@pytest.fixture
def legacy(empty_database_url: str) -> Legacy:
    return Legacy(empty_database_url)


def test_no_row_is_lost(legacy: Legacy) -> None:
    before = legacy.counts()
    migrations.upgrade(legacy.url)
    up = legacy.counts()
    legacy.run(PLANT.read_text())
    legacy.run(NEWER_ROWS)
    fuller = legacy.counts()
    migrations.downgrade(legacy.url, BASELINE)
    down = legacy.counts()
    migrations.downgrade(legacy.url, "base")
    at_base = legacy.counts()
    migrations.upgrade(legacy.url)
    up_again = legacy.counts()

    columns = (before, up, fuller, down, at_base, up_again)
    print(f"{'':18}{'legacy':>8}{'up':>8}{'filled':>8}{'down':>8}{'base':>8}{'up':>8}")  # noqa: T201 - what this shows
    for table in TABLES:
        print(f"{table:18}" + "".join(f"{column[table]:8}" for column in columns))  # noqa: T201 - as above
    assert up == before
    assert all(count > before[table] for table, count in fuller.items())
    assert down == at_base == up_again == fuller
    assert migrations.check(legacy.url) == []


def test_archived_versions_become_deprecated_and_one_stays_published(legacy: Legacy) -> None:
    migrations.upgrade(legacy.url)

    assert legacy.versions("flow A") == {1: "DEPRECATED", 2: "DEPRECATED", 3: "PUBLISHED", 4: "DRAFT"}
    assert legacy.versions("flow B") == {1: "PUBLISHED"}


def test_what_a_migration_moves_leaves_no_audit_event(legacy: Legacy) -> None:
    migrations.upgrade(legacy.url)

    assert legacy.run("SELECT * FROM audit_events") == []


def test_newer_versions_go_back_to_older_states(legacy: Legacy) -> None:
    migrations.upgrade(legacy.url)
    legacy.run(PLANT.read_text())

    migrations.downgrade(legacy.url, BASELINE)

    assert legacy.versions("flow A") == {1: "ARCHIVED", 2: "ARCHIVED", 3: "PUBLISHED", 4: "DRAFT"}
    assert legacy.versions("flow") == {1: "ARCHIVED", 2: "PUBLISHED", 3: "DRAFT", 4: "DRAFT"}


def test_runs_take_new_states_and_times(legacy: Legacy) -> None:
    migrations.upgrade(legacy.url)

    assert legacy.runs() == {
        "old active": "RUNNING",
        "old active, yet ended": "RUNNING",
        "old cancelled": "ABORTED",
        "old cancelled, nobody knows when": "ABORTED",
        "old completed": "COMPLETED",
        "old completed, nobody knows when": "COMPLETED",
    }
    times = "to_char(completed_at AT TIME ZONE 'UTC', 'HH24:MI'), to_char(ended_at AT TIME ZONE 'UTC', 'HH24:MI')"
    assert {code: rest for code, *rest in legacy.run(f"SELECT run_code, {times}, summary FROM production_runs")} == {  # noqa: S608 - written above
        "old active": [None, None, None],
        "old active, yet ended": [None, None, {"note": "?", "legacy_ended_at": "2025-06-01T14:00:00+00:00"}],
        "old cancelled": [None, "14:00", None],
        "old cancelled, nobody knows when": [None, "06:00", None],
        "old completed": ["14:00", "14:00", {"kg": 12}],
        "old completed, nobody knows when": ["06:00", "06:00", None],
    }


def test_newer_runs_go_back_to_older_states(legacy: Legacy) -> None:
    migrations.upgrade(legacy.url)
    legacy.run(PLANT.read_text())
    legacy.run(NEWER_ROWS)

    migrations.downgrade(legacy.url, BASELINE)

    assert legacy.runs() == {
        "old active": "ACTIVE",
        "old active, yet ended": "ACTIVE",
        "old cancelled": "CANCELLED",
        "old cancelled, nobody knows when": "CANCELLED",
        "old completed": "COMPLETED",
        "old completed, nobody knows when": "COMPLETED",
        "legacy": "ACTIVE",
        "idle": "ACTIVE",
        "running": "ACTIVE",
        "at last step": "ACTIVE",
        "held": "ACTIVE",
        "completed": "COMPLETED",
        "archived": "COMPLETED",
        "aborted": "CANCELLED",
        "given up": "CANCELLED",
    }


def test_lots_get_the_status_that_their_records_say(legacy: Legacy) -> None:
    migrations.upgrade(legacy.url)

    assert {code: status for code, (status,) in legacy.lots("status").items()} == {
        "done with its run": "FINISHED",
        "failed at last": "REJECTED",
        "held": "HOLD",
        "held though its run is over": "HOLD",
        "used up": "CONSUMED",
        "used, nobody knows how much": "CONSUMED",
        "used in part": "RELEASED",
        "passed": "RELEASED",
        "never looked at": "QUARANTINE",
        "of no type or run": "QUARANTINE",
    }
    with pytest.raises(psycopg.errors.NotNullViolation):
        legacy.run("UPDATE lots SET status = NULL")


def test_lots_come_back_as_they_were_before_a_downgrade(legacy: Legacy) -> None:
    migrations.upgrade(legacy.url)
    legacy.run(PLANT.read_text())
    legacy.run(NEWER_ROWS)
    columns = "lot_type::text, sku_type, status, step_index, metadata"
    before = legacy.lots(columns)

    migrations.downgrade(legacy.url, BASELINE)
    down = legacy.lots("lot_type::text, metadata ->> 'colour'")
    migrations.upgrade(legacy.url)

    assert [down[lot] for lot in ("SKW15", "SKW30", "FRZ15", "FRZ30", "FG15", "FG30")] == [
        [lot_type, "red"] for lot_type in ("SKW", "SKW", "FRZ", "FRZ", "FG", "FG")
    ]
    assert legacy.lots(columns) == before


def test_tables_of_an_older_system_are_taken_over(legacy: Legacy) -> None:
    """Without Alembic's own table, as a system that never knew Alembic left them."""
    before = legacy.counts()
    legacy.run("DROP TABLE alembic_version")

    migrations.upgrade(legacy.url)

    assert legacy.counts() == before
    assert migrations.check(legacy.url) == []


def test_half_of_the_older_tables_is_no_start(legacy: Legacy) -> None:
    legacy.run("DROP TABLE alembic_version, qc_decisions")

    with pytest.raises(ConfigurationError, match="some are not \\(qc_decisions\\)"):
        migrations.upgrade(legacy.url)
