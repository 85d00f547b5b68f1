"""Lots of an older system that break today's rules stop no migration, and what becomes of them is guarded from then on.

Up, down to the baseline, and up again: rows are counted and compared, guards tried after each way up.
"""

from typing import Any

import psycopg
import pytest
from tests.servers import conninfo

from runworker import migrations

BASELINE = "20260124_add_flow_definitions"
BEFORE_GUARDS = "20261129_4_runs_and_steps"

LEGACY = """
INSERT INTO production_runs (id, run_code, status)
SELECT md5(code)::uuid, code, 'ACTIVE' FROM unnest(ARRAY['RUN-20250601-BUDA-0001', 'RUN-20250601-PEST-0001']) AS code;
INSERT INTO lots (id, lot_code, lot_type, weight_kg, production_run_id)
SELECT md5(code)::uuid, code, type::lot_type, kg, md5(run)::uuid
FROM (VALUES ('overdrawn', 'RAW', 10, 'RUN-20250601-BUDA-0001'), ('raw with a parent', 'RAW', 10, NULL),
             ('its own parent', 'MIX', 10, NULL), ('circle a', 'MIX', 10, NULL), ('circle b', 'MIX', 10, NULL),
             ('skewer', 'SKW', 0, NULL), ('weighs less than nothing', 'FG', -3, NULL),
             ('at the other site', 'DEB', 10, 'RUN-20250601-PEST-0001'), ('never passed', 'RAW', 10, NULL),
             ('passed', 'RAW', 10, NULL)) AS lot (code, type, kg, run);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
SELECT md5(parent)::uuid, md5(child)::uuid, kg
FROM (VALUES ('overdrawn', 'at the other site', 8), ('overdrawn', 'raw with a parent', 8),
             ('its own parent', 'its own parent', 1), ('circle a', 'circle b', 1), ('circle b', 'circle a', NULL),
             ('never passed', 'skewer', 0), ('never passed', 'weighs less than nothing', -1))
     AS link (parent, child, kg);
INSERT INTO qc_decisions (lot_id, decision) VALUES (md5('passed')::uuid, 'PASS'), (md5('circle a')::uuid, 'PASS');
"""

LINK = (
    "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
    " VALUES (md5('{}')::uuid, md5('{}')::uuid, {})"
)
RELEASE = (
    "INSERT INTO qc_decisions (lot_id, decision) SELECT id, 'PASS' FROM lots WHERE lot_code = '{}';"
    "UPDATE lots SET status = 'RELEASED', temperature_c = 2 WHERE lot_code = '{}'"
)
REFUSED = {
    LINK.format("its own parent", "its own parent", 1): "guard_lot_genealogy_itself",
    LINK.format("never passed", "skewer", 1): "guard_lot_genealogy_released",
    LINK.format("passed", "skewer", 11): "guard_lot_genealogy_quantity",
    LINK.format("passed", "raw with a parent", 1): "guard_lot_genealogy_raw",
    "UPDATE lots SET weight_kg = 15.99 WHERE lot_code = 'overdrawn'": "guard_lots_frozen",
    "UPDATE lots SET weight_kg = -4 WHERE lot_code = 'weighs less than nothing'": "guard_lots_weight",
    "UPDATE lots SET lot_type = 'MIX' WHERE lot_code = 'skewer'": "guard_lots_identity",
    "DELETE FROM lot_genealogy": "guard_lot_genealogy_kept",
    "DELETE FROM qc_decisions": "guard_qc_decisions_kept",
}
STILL_POSSIBLE = (
    LINK.format("passed", "skewer", 10),
    "UPDATE lots SET status = 'CONSUMED' WHERE lot_code = 'passed'",
    RELEASE.format("weighs less than nothing", "weighs less than nothing"),
    RELEASE.format("skewer", "skewer"),
)


def _run(url: str, statement: str) -> list[Any]:
    with psycopg.connect(conninfo(url)) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _picture(url: str) -> list[Any]:
    return [
        _run(url, "SELECT id, lot_code, lot_type::text, weight_kg, production_run_id FROM lots ORDER BY id"),
        _run(url, "SELECT id, parent_lot_id, child_lot_id, quantity_used_kg FROM lot_genealogy ORDER BY id"),
        _run(url, "SELECT id, lot_id, decision FROM qc_decisions ORDER BY id"),
    ]


@pytest.fixture
def legacy_url(empty_database_url: str) -> str:
    migrations.upgrade(empty_database_url, BASELINE)
    _run(empty_database_url, LEGACY)
    return empty_database_url


def _assert_guarded(url: str) -> None:
    for statement, constraint in REFUSED.items():
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            _run(url, statement)
        assert refused.value.diag.constraint_name == constraint, statement


def test_rows_that_break_todays_rules_stop_no_migration(legacy_url: str) -> None:
    before = _picture(legacy_url)

    migrations.upgrade(legacy_url)
    assert _picture(legacy_url) == before
    _assert_guarded(legacy_url)
    migrations.downgrade(legacy_url, BASELINE)
    assert _picture(legacy_url) == before
    migrations.upgrade(legacy_url)
    assert _picture(legacy_url) == before
    _assert_guarded(legacy_url)
    assert migrations.check(legacy_url) == []


def test_guards_look_at_what_is_new_only(legacy_url: str) -> None:
    migrations.upgrade(legacy_url)

    for statement in STILL_POSSIBLE:
        _run(legacy_url, statement)

    assert _run(legacy_url, "SELECT count(*) FROM lots WHERE status IN ('RELEASED', 'CONSUMED')")[0][0] >= len(
        STILL_POSSIBLE
    )


def test_without_the_guards_all_is_as_it_was(legacy_url: str) -> None:
    migrations.upgrade(legacy_url)

    migrations.downgrade(legacy_url, BEFORE_GUARDS)

    for statement in REFUSED:
        _run(legacy_url, f"BEGIN; {statement}; ROLLBACK")
