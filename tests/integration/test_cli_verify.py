"""`runworker verify`."""

import json
from datetime import UTC, datetime

from sqlalchemy import create_engine, text
from tests.command_line import CommandLine
from tests.plant import Plant

from runworker.upkeep.seal import seal

LOST = "f" * 64


def sealed(plant: Plant) -> None:
    database = create_engine(plant.url)
    assert seal(database) > 0
    database.dispose()


def test_an_intact_database(command_line: CommandLine, plant: Plant) -> None:
    plant.user()
    sealed(plant)
    plant.another_user("VIEWER")
    told = command_line.json("verify")
    assert told["head"] == plant.sql("SELECT encode(sha256, 'hex') FROM audit_seals")[0][0]
    assert told["outcome"] == "intact"
    assert (told["seals"], told["events_sealed"], told["events_unsealed"]) == (1, 1, 1)
    assert (told["found"], told["discrepancies"], told["broken_seal"], told["not_looked_at"]) == (0, [], None, [])
    assert told["rows"] | {"users": 2, "audit_events": 2, "audit_seals": 1, "lots": 0} == told["rows"]
    assert "outcome          intact" in command_line.ok("verify")


def test_an_empty_database_is_not_told_as_intact(command_line: CommandLine) -> None:
    result = command_line.run("verify", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["outcome"] == "empty"
    assert "the database is empty" in result.stderr


def test_what_was_tampered_with_is_told_and_exit_code_1(command_line: CommandLine, plant: Plant) -> None:
    user = plant.user()
    sealed(plant)
    (row,) = plant.sql("SELECT * FROM audit_seals")
    with plant.transaction() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM audit_events"))
        connection.execute(text("UPDATE users SET role = 'VIEWER'"))
    result = command_line.run("verify", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["broken_seal"] == row.id
    assert {discrepancy["table"] for discrepancy in told["discrepancies"]} == {"audit_events", "audit_seals", "users"}
    covered = f"events {row.first_event_id} to {row.last_event_id}"
    assert f"runworker: audit_seals {row.id}: the seal over {covered} is broken" in result.stderr
    assert f"users {user}: no event says how the row came to be" in result.stderr


def test_a_head_that_was_kept_is_found_again(command_line: CommandLine, plant: Plant) -> None:
    plant.user()
    sealed(plant)
    head = command_line.json("verify")["head"]
    plant.another_user("VIEWER")
    sealed(plant)
    told = command_line.json("verify", "--head", head.upper())
    assert told["asked_head"] | {"seals_since": 1, "events_since": 1} == told["asked_head"]
    assert "since then 1 seals, 1 events" in command_line.ok("verify", "--head", head)


def test_a_head_that_is_lost_is_a_discrepancy(command_line: CommandLine, plant: Plant) -> None:
    plant.user()
    sealed(plant)
    result = command_line.run("verify", "--head", LOST)
    assert result.exit_code == 1
    assert f"audit_seals {LOST}: no seal has this hash" in result.stderr
    assert command_line.run("verify", "--head", "abc").exit_code == 2


def test_an_anchor_is_asked_for_by_its_file(command_line: CommandLine, plant: Plant) -> None:
    file = command_line.folder / "anchors.jsonl"
    assert "there is no seal yet" in command_line.refused("seals", "anchor")
    plant.user()
    sealed(plant)
    command_line.ok("seals", "anchor", str(file))
    plant.another_user("VIEWER")
    sealed(plant)
    command_line.ok("seals", "anchor", str(file))
    first, second = map(json.loads, file.read_text().splitlines())
    assert json.loads(command_line.ok("seals", "anchor")) == second
    assert command_line.json("verify")["head"] == second["head"] != first["head"]
    assert command_line.json("verify", "--anchor", str(file))["asked_head"]["seal_id"] == second["seal_id"]
    with plant.transaction() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM audit_seals WHERE id > (SELECT min(id) FROM audit_seals)"))
        connection.execute(text("DELETE FROM audit_events WHERE id > (SELECT max(last_event_id) FROM audit_seals)"))
        connection.execute(text("DELETE FROM users WHERE role = 'VIEWER'"))
        connection.execute(text("SELECT setval('audit_seals_id_seq', (SELECT max(id) FROM audit_seals))"))
    assert command_line.json("verify")["outcome"] == "intact", "cut off with all that it covered"
    result = command_line.run("verify", "--anchor", str(file))
    assert result.exit_code == 1
    assert f"audit_seals {second['head']}: no seal has this hash" in result.stderr


def test_what_is_no_anchor_is_refused(command_line: CommandLine) -> None:
    file = command_line.folder / "anchors.jsonl"
    assert command_line.run("verify", "--anchor", str(file)).exit_code == 2
    for said in ("", "{}", "[1]", '{"head": "ab", "seal_id": 1, "last_event_id": 1, "sealed_at": ""}'):
        file.write_text(said)
        assert "This is no anchor" in command_line.refused("verify", "--anchor", str(file))
    assert command_line.run("verify", "--anchor", str(file), "--head", LOST).exit_code == 2


def test_since_takes_older_seals_as_they_are(command_line: CommandLine, plant: Plant) -> None:
    older = plant.user()
    sealed(plant)
    between = datetime.now(UTC)
    newer = plant.another_user("VIEWER")
    sealed(plant)
    with plant.transaction() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE users SET role = 'MANAGER'"))
    result = command_line.run("verify", "--json", "--since", between.isoformat())
    told = json.loads(result.stdout)
    assert (told["seals"], told["events_sealed"]) == (1, 1)
    assert [discrepancy["row"] for discrepancy in told["discrepancies"]] == [str(newer)]
    assert str(older) not in result.stdout
    assert "seals to number" in told["not_looked_at"][0]


def test_a_database_at_another_revision_is_looked_at_as_far_as_its_seals(
    command_line: CommandLine, plant: Plant
) -> None:
    plant.user()
    sealed(plant)
    plant.sql("UPDATE alembic_version SET version_num = '20261130_3_claims'")
    result = command_line.run("verify", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["outcome"], told["seals"]) == (3, "not verified", 1)
    assert "run `runworker migrate` first" in result.stderr
