"""`runworker verify`."""

import json

from sqlalchemy import create_engine, text
from tests.command_line import CommandLine
from tests.plant import Plant

from runworker.upkeep.seal import seal


def sealed(plant: Plant) -> None:
    database = create_engine(plant.url)
    plant.user()
    assert seal(database) == 1
    database.dispose()


def test_an_intact_trail(command_line: CommandLine, plant: Plant) -> None:
    sealed(plant)
    plant.another_user("VIEWER")
    told = command_line.json("verify")
    assert told.pop("head") == plant.sql("SELECT encode(sha256, 'hex') FROM audit_seals")[0][0]
    assert told == {"intact": True, "seals": 1, "events_sealed": 1, "events_unsealed": 1, "broken_seal": None}
    assert "intact           True" in command_line.ok("verify")


def test_a_broken_trail_is_told_and_exit_code_1(command_line: CommandLine, plant: Plant) -> None:
    sealed(plant)
    (row,) = plant.sql("SELECT * FROM audit_seals")
    database = create_engine(plant.url)
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE audit_events DISABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM audit_events"))
    database.dispose()
    result = command_line.run("verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["broken_seal"] == row.id
    covered = f"events {row.first_event_id} to {row.last_event_id}"
    assert f"runworker: seal {row.id} over {covered} is broken" in result.stderr
