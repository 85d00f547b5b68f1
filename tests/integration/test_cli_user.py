"""`runworker user add`."""

import threading
from uuid import UUID

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from tests.command_line import CommandLine
from tests.crew import eventually
from tests.plant import Plant

from runworker.imports import ImportRefused, add_user
from runworker.states import UserRole


def test_a_user_is_added(command_line: CommandLine, plant: Plant) -> None:
    told = command_line.json("user", "add", "anna@plant.example", "--role", "Operator", "--name", "Kovács Anna")
    assert told.keys() == {"user_id"}
    (row,) = plant.sql("SELECT email, full_name, role FROM users WHERE id = :id", id=told["user_id"])
    assert tuple(row) == ("anna@plant.example", "Kovács Anna", "OPERATOR")


def test_the_id_is_printed_for_people_too(command_line: CommandLine) -> None:
    name, user_id = command_line.ok("user", "add", "anna@plant.example", "--role", "ADMIN").split()
    assert name == "user_id"
    assert UUID(user_id)


@pytest.mark.parametrize("email", ["anna@plant.example", "ANNA@Plant.Example"])
def test_an_address_is_given_once(command_line: CommandLine, plant: Plant, email: str) -> None:
    first = command_line.json("user", "add", "anna@plant.example", "--role", "ADMIN")["user_id"]
    said = command_line.refused("user", "add", email, "--role", "VIEWER")
    assert f"anna@plant.example is a user already: {first}, ADMIN" in said
    assert plant.count("users") == 1


@pytest.mark.parametrize(
    "email", ["", "anna", "@", "anna@", "@plant", "an na@plant", "a@b@c", "anna@plant\n", "a\x07@b", "a" * 251 + "@b.c"]
)
def test_what_is_no_address_is_refused(command_line: CommandLine, plant: Plant, email: str) -> None:
    assert "is no e-mail address" in command_line.refused("user", "add", email, "--role", "ADMIN")
    assert plant.count("users") == 0


@pytest.mark.parametrize("name", ["", "x" * 201, "bell\x07"])
def test_a_name_that_does_not_fit_is_refused(command_line: CommandLine, name: str) -> None:
    assert "printable characters" in command_line.refused("user", "add", "a@b", "--role", "ADMIN", "--name", name)


def test_an_unknown_role_is_wrong_usage(command_line: CommandLine) -> None:
    result = command_line.run("user", "add", "a@b", "--role", "BOSS")
    assert result.exit_code == 2
    assert "viewer" in result.stderr.lower()


def test_the_change_is_in_the_audit_trail(command_line: CommandLine, plant: Plant) -> None:
    user_id = command_line.json("user", "add", "a@b", "--role", "ADMIN")["user_id"]
    assert plant.count("audit_events", f"entity = 'users' AND entity_id = '{user_id}'") == 1


def test_an_address_that_somebody_else_adds_at_the_same_moment(plant: Plant) -> None:
    database = create_engine(plant.url)
    refusals: list[str] = []

    def work() -> None:
        with Session(database) as session, pytest.raises(ImportRefused) as refused:
            add_user(session, "anna@plant.example", UserRole.ADMIN)
        refusals.append(str(refused.value))

    with Session(database) as first:
        add_user(first, "anna@plant.example", UserRole.ADMIN)
        second = threading.Thread(target=work)
        second.start()
        eventually(lambda: plant.sql("SELECT FROM pg_locks WHERE NOT granted"), "the second waits for the first")
        first.commit()
        second.join()
    database.dispose()
    assert refusals == ["anna@plant.example was added by somebody else at this very moment."]
