"""`runworker migrate --down`: what would be lost is told and asked; an older system's plant goes down and up again."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from tests.command_line import CommandLine
from tests.environment import without_settings
from tests.plant import Plant
from tests.servers import conninfo

from runworker import migrations
from runworker.upkeep.seal import seal

PROJECT = Path(__file__).parents[2]
BASELINE = "20260124_add_flow_definitions"
LEGACY = PROJECT / "tests/migrations/legacy.sql"
MANY = int(os.environ.get("RUNWORKER_TEST_LEGACY_ROWS", "4000"))
"""Lots of the older system; 200,000 are tried by hand."""
MORE_LEGACY = """
INSERT INTO lots (lot_code, lot_type, production_run_id, weight_kg, metadata, created_at)
SELECT 'OLD-' || number, (ARRAY['RAW', 'DEB', 'BULK', 'MIX', 'SKW', 'FRZ', 'FG', 'PAL', 'SHIP', NULL])[1 + number % 10]
           ::lot_type,
       CASE number % 4 WHEN 0 THEN md5('old active')::uuid WHEN 1 THEN md5('old completed')::uuid
                       WHEN 2 THEN md5('old cancelled, nobody knows when')::uuid END,
       (ARRAY[NULL, 0, -3, 10, 12.34])[1 + number % 5],
       (ARRAY['{}', '[1]', '"a text"', '{"colour": "red"}', 'null'])[1 + number % 5]::jsonb,
       timestamptz '2025-06-01 06:00+00' + number * interval '1 second'
FROM generate_series(1, {many}) AS number;
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
SELECT parent.id, child.id, (ARRAY[NULL, 1, 20])[1 + number % 3]
FROM generate_series(2, {many}, 3) AS number
     JOIN lots AS parent ON parent.lot_code = 'OLD-' || number - 1
     JOIN lots AS child ON child.lot_code = 'OLD-' || number;
INSERT INTO qc_decisions (lot_id, decision, decided_at)
SELECT id, (ARRAY['PASS', 'HOLD', 'FAIL'])[1 + number % 3], timestamptz '2025-06-01 07:00+00'
FROM generate_series(1, {many}, 2) AS number JOIN lots ON lot_code = 'OLD-' || number;
"""


@pytest.fixture
def used(command_line: CommandLine, plant: Plant) -> CommandLine:
    """A database in which a run was begun, held and goes on, and another was finished."""
    engine = plant.engine()
    run = uuid4()
    engine.apply(plant.life(uuid4()))
    engine.apply([plant.command("start_run", run_id=run), plant.command("hold_run", run_id=run)])
    seal(engine.database)
    return command_line


def test_what_would_be_lost_is_told_and_nobody_to_ask_is_a_no(used: CommandLine, plant: Plant) -> None:
    result = used.run("migrate", "--down", BASELINE)
    assert (result.exit_code, result.stdout) == (2, "")
    told = result.stderr.splitlines()
    assert told[0] == f"runworker: going down to {BASELINE} does away with"
    events, commands = plant.count("audit_events"), plant.count("commands")
    for line in (f"{events} rows of audit_events", "1 rows of audit_seals", f"{commands} rows of commands"):
        assert f"runworker:     {line}" in told
    assert "runworker:     2 rows of production_runs: flow_version_id, idempotency_key, started_by" in told
    assert "runworker:     1 rows of production_runs: status" in told
    assert "say --discard" in result.stderr
    assert migrations.current(plant.url) == migrations.newest()

    assert used.run("migrate", "--down", BASELINE, "--discard").exit_code == 0
    assert migrations.current(plant.url) == BASELINE
    assert used.run("migrate", "--discard").exit_code == 2


@pytest.mark.parametrize(("answer", "goes_down"), [("n", False), ("yes", True)])
def test_somebody_at_a_terminal_is_asked(used: CommandLine, plant: Plant, answer: str, goes_down: bool) -> None:
    terminal, end = pty.openpty()
    with os.fdopen(end, "rb") as stdin, used.process(
        "migrate", "--down", BASELINE, stdin=stdin, stderr=subprocess.PIPE
    ) as process:  # fmt: skip
        os.write(terminal, f"{answer}\n".encode())
        _, said = process.communicate(timeout=120)
    os.close(terminal)
    assert "Is there a backup, and may all of this go? [y/N]" in said
    assert process.returncode == (0 if goes_down else 1)
    assert migrations.current(plant.url) == (BASELINE if goes_down else migrations.newest())


def test_what_loses_nothing_is_not_asked(used: CommandLine, plant: Plant) -> None:
    result = used.run("migrate", "--down", "20261130_3_claims")
    assert (result.exit_code, "does away" in result.stderr) == (0, False)
    assert migrations.current(plant.url) == "20261130_3_claims"
    assert "no_such_revision" in used.refused("migrate", "--down", "no_such_revision")


def test_alembic_by_hand_asks_as_well(used: CommandLine, plant: Plant) -> None:
    def alembic(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=PROJECT,
            env=without_settings() | {"RUNWORKER_DATABASE_URL": plant.url},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = alembic("downgrade", BASELINE)
    assert refused.returncode
    assert f"{plant.count('audit_events')} rows of audit_events; 1 rows of audit_seals" in refused.stdout
    assert f"alembic -x discard=yes downgrade {BASELINE}" in refused.stdout
    assert migrations.current(plant.url) == migrations.newest()
    assert alembic("-x", "discard=yes", "downgrade", BASELINE).returncode == 0
    assert migrations.current(plant.url) == BASELINE


def test_an_older_plant_goes_up_works_goes_down_and_up_again(
    command_line: CommandLine, empty_database_url: str
) -> None:
    command_line.settings["database_url"] = empty_database_url
    command_line.ok("migrate", BASELINE)
    with psycopg.connect(conninfo(empty_database_url)) as connection:
        connection.execute(LEGACY.read_text())
        connection.execute(MORE_LEGACY.replace("{many}", str(MANY)))
    picture = (
        "SELECT (SELECT md5(string_agg(lot::text, '' ORDER BY id)) FROM (SELECT id, lot_code, weight_kg,"
        " production_run_id, metadata FROM lots WHERE lot_code LIKE 'OLD-%') AS lot),"
        " (SELECT md5(string_agg(concat(id, parent_lot_id, child_lot_id, quantity_used_kg), '' ORDER BY id))"
        "  FROM lot_genealogy),"
        " (SELECT count(*) FROM qc_decisions)"
    )
    plant = Plant(empty_database_url)
    try:
        command_line.ok("migrate")
        before = plant.sql(picture)
        verdicts = plant.engine().apply(plant.life(uuid4()))
        assert {verdict.status for verdict in verdicts} == {"APPLIED"}
        assert plant.discrepancies() == []
        runs = plant.count("production_runs")

        told = command_line.run("migrate", "--down", BASELINE, "--discard")
        assert told.exit_code == 0
        assert f"{len(verdicts)} rows of commands" in told.stderr
        assert f"{2 * MANY // 5 + MANY // 5 + 1:,} rows of lots: status, step_index" in told.stderr
        command_line.ok("migrate")
        assert plant.sql(picture) == before
        assert plant.count("production_runs") == runs
        assert (plant.count("commands"), plant.count("audit_events")) == (0, 0)
        assert {verdict.status for verdict in plant.engine().apply(plant.life(uuid4()))} == {"APPLIED"}
        assert migrations.check(empty_database_url) == []
    finally:
        plant.close()
