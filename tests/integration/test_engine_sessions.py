"""Sessions say for themselves what they need: defaults of the server, the database and the role do not matter."""

from typing import Any

import pytest
from tests.integration.test_engine_lots_life import Life
from tests.outsider import Outsider
from tests.plant import Plant

from runworker.engine import Engine
from runworker.states import CommandStatus

MODES = ("session", "transaction", "transaction-prepared")
HOSTILE = {
    "default_transaction_isolation": "'repeatable read'",
    "default_transaction_read_only": "on",
    "client_encoding": "'LATIN2'",
    "search_path": "'nowhere'",
    "row_security": "on",
    "synchronous_commit": "off",
    "statement_timeout": "'777ms'",
    "lock_timeout": "'777ms'",
    "idle_in_transaction_session_timeout": "'777ms'",
    "timezone": "'Europe/Budapest'",
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "'iso_8601'",
}


def hostile(plant: Plant) -> None:
    """Give the database defaults, all of them bad for us; the read-only one last."""
    for name, value in sorted(HOSTILE.items(), key=lambda item: item[0] == "default_transaction_read_only"):
        plant.set_default(name, value)


def said(engine: Engine, *names: str) -> dict[str, Any]:
    with engine.database.begin() as connection:
        return {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names}


@pytest.mark.parametrize("mode", MODES)
def test_defaults_are_not_inherited(plant: Plant, mode: str) -> None:
    command = plant.command("start_run", source="ő")
    hostile(plant)
    engine = plant.engine(pool_mode=mode)
    assert said(engine, *HOSTILE, "transaction_isolation", "transaction_read_only") == {
        "default_transaction_isolation": "read committed" if mode == "session" else "repeatable read",
        "default_transaction_read_only": "on",
        "client_encoding": "UTF8",
        "search_path": "pg_catalog,public,pg_temp",
        "row_security": "off",
        "synchronous_commit": "on",
        "statement_timeout": "15s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "15s",
        "timezone": "UTC",
        "datestyle": "ISO, MDY",
        "intervalstyle": "postgres",
        "transaction_isolation": "read committed",
        "transaction_read_only": "off",
    }
    assert engine.apply([command])[0].status is CommandStatus.APPLIED


@pytest.mark.parametrize("level", ["local", "remote_write", "remote_apply"])
@pytest.mark.parametrize("mode", MODES)
def test_how_far_replicas_have_to_be_is_for_the_server_to_say(plant: Plant, mode: str, level: str) -> None:
    plant.set_default("synchronous_commit", level)
    assert said(plant.engine(pool_mode=mode), "synchronous_commit") == {"synchronous_commit": level}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("first_try")
def test_the_same_kilograms_are_not_taken_twice(plant: Plant, outsider: Outsider, mode: str) -> None:
    """The second waits for the first, and reads what is left of the lot only then, whatever the default isolation."""
    plant.set_default("default_transaction_isolation", "'repeatable read'")
    life = Life(plant)
    first, second = plant.engine(pool_mode=mode), plant.engine(pool_mode=mode)
    first.apply([*life.until(1), life.advance(2)])
    consumptions = [
        plant.command(
            "register_lot", run_id=life.run, lot_type="DEB", step_index=2, weight_kg="200",
            parents=[{"lot_id": life.lots["bőr"], "quantity_used_kg": "200"}],
        )
        for _ in range(2)
    ]  # fmt: skip
    outsider.stop_before_writing(consumptions[0])
    one = outsider.begin(lambda: first.apply(consumptions[:1]))
    two = outsider.begin(lambda: second.apply(consumptions[1:]), behind=one)
    outsider.rollback()
    assert [waiting.result()[0].code for waiting in (one, two)] == [None, "QUANTITY_EXCEEDS_LEFT"]
