"""Constraints of a database that was taken over get the names that rejections are told by."""

import pytest
from tests.integration.test_engine_lots_life import Life
from tests.migrations.parents import run
from tests.migrations.test_models_match import catalogue
from tests.outsider import Outsider
from tests.plant import Plant
from tests.servers import Servers, fresh_database

from runworker import migrations
from runworker.codes import Code
from runworker.engine import Engine

BEFORE = "20261201_4_rights"
CODE = "RAW-20250601-MAIN-0001"


@pytest.fixture
def database_url(parent_url: str) -> str:
    """What `plant` and `engine` work on."""
    run(parent_url, "INSERT INTO lots (lot_code, lot_type) VALUES ('RAW-20250601-MAIN-0001', 'RAW')")
    migrations.upgrade(parent_url)
    return parent_url


def test_models_match(parent_url: str, servers: Servers, template_database: str) -> None:
    migrations.upgrade(parent_url, BEFORE)
    older = {line[2] for line in catalogue(parent_url) if line[0] == "constraint"}
    assert {"lots_pkey", "lots_lot_code_key", "lots_phase_id_fkey", "users_role_check"} <= older

    migrations.upgrade(parent_url)

    with fresh_database(servers, template=template_database) as made_anew:
        assert catalogue(parent_url) == catalogue(made_anew.render_as_string(hide_password=False))
    assert migrations.check(parent_url) == []


def test_what_is_another_rule_keeps_its_name(parent_url: str) -> None:
    run(
        parent_url,
        'ALTER TABLE lots ADD CONSTRAINT once UNIQUE (lot_code), ADD CONSTRAINT "a ""heavy" CHECK (weight_kg > 0);'
        'ALTER TABLE users RENAME CONSTRAINT users_email_key TO "one ""address"',
    )

    migrations.upgrade(parent_url)

    names = {line[2] for line in catalogue(parent_url) if line[0] == "constraint"}
    assert {"uq_lots_lot_code", 'a "heavy', "uq_users_email"} <= names
    assert 'one "address' not in names


def test_a_lot_code_that_is_taken(plant: Plant, engine: Engine) -> None:
    life = Life(plant)
    engine.apply([life.start(), life.advance(1)])
    register = {"run_id": life.run, "lot_type": "RAW", "step_index": 1, "weight_kg": "10", "lot_code": CODE}

    [verdict] = engine.apply([plant.command("register_lot", **register)])

    assert verdict.code is Code.LOT_CODE_TAKEN


def test_a_run_number_that_another_system_is_about_to_use(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    day = plant.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")[0][0]
    code = f"RUN-{day}-MAIN-0001"
    outsider.execute("INSERT INTO production_runs (run_code, flow_version_id) VALUES (%s, %s)", code, plant.version())
    command = plant.command("start_run")
    waiting = outsider.begin(lambda: engine.apply([command]))
    outsider.commit()

    assert waiting.result()[0].state["run_code"].endswith("-0002")
