"""The wire contract: what is read, what is refused, and when two commands are the same."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.command_fields import ANYWHERE, COMMON, ENOUGH, KEY, OPTIONAL, RUN, USER, VERSION, WRONG, Fields

from runworker.codes import Code
from runworker.commands import COMMANDS, parse
from runworker.errors import InvalidMessage
from runworker.states import UserRole


def refusal(name: object, fields: object) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as error:
        parse(name, fields)
    return error.value


def full(name: str) -> Fields:
    return ENOUGH[name] | OPTIONAL.get(name, {}) | ANYWHERE


def test_every_command_is_tested_here() -> None:
    assert ENOUGH.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_name_of_a_task_is_told_from_that_of_its_command(name: str) -> None:
    said = refusal(f"runworker.{name}", ENOUGH[name])
    assert (said.code, said.message.endswith(f"its command is {name}")) == (Code.UNKNOWN_COMMAND, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_read_with_what_it_needs(name: str) -> None:
    command = parse(name, ENOUGH[name])
    assert (type(command), command.name) == (COMMANDS[name], name)
    assert command.model_fields_set == ENOUGH[name].keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_read_with_all_it_may_have(name: str) -> None:
    assert parse(name, full(name)).model_fields_set == set(COMMANDS[name].model_fields)


def required(name: str) -> list[str]:
    return [field for field in ENOUGH[name] if COMMANDS[name].model_fields[field].is_required()]


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in COMMANDS for field in required(name)])
def test_missing_field(name: str, field: str) -> None:
    error = refusal(name, {key: value for key, value in ENOUGH[name].items() if key != field})
    assert (error.code, error.message) == (Code.MISSING_FIELD, f"{name}: {field} is required")


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_field(name: str) -> None:
    error = refusal(name, ENOUGH[name] | {"runid": RUN})
    assert (error.code, error.message) == (Code.UNKNOWN_FIELD, f"{name}: runid is no field of this command")


def cases() -> list[Any]:
    found = []
    for name in COMMANDS:
        for field in full(name):
            may_be_none = COMMANDS[name].model_fields[field].default is None
            for number, value in enumerate(WRONG[field]):
                if value is None and may_be_none:
                    continue
                found.append(pytest.param(name, field, value, id=f"{name}-{field}-{number}"))
    return found


@pytest.mark.parametrize(("name", "field", "value"), cases())
def test_wrong_value(name: str, field: str, value: Any) -> None:
    error = refusal(name, ENOUGH[name] | {field: value})
    assert error.code is Code.INVALID_FIELD or field == "parents"
    assert error.message.startswith(f"{name}: {field}")
    assert len(error.message) < 500


@pytest.mark.parametrize(
    "name", ["", "start", "runworker.start_run", "START_RUN", None, 7, ["start_run"], "\x00", "é" * 9999]
)
def test_unknown_command(name: object) -> None:
    error = refusal(name, COMMON)
    assert error.code is Code.UNKNOWN_COMMAND
    assert "start_run" in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize("fields", [None, [], "{}", 7, True])
def test_fields_that_are_no_object(fields: object) -> None:
    assert refusal("start_run", fields).code is Code.MALFORMED_MESSAGE


def test_all_problems_are_listed_and_the_first_gives_the_code() -> None:
    error = refusal("advance_step", {"run_id": "x", "to_step_index": 1, "speed": 3})
    assert error.code is Code.MISSING_FIELD
    assert [(problem["code"], problem["message"].split()[0].rstrip(":")) for problem in error.facts["problems"]] == [
        ("MISSING_FIELD", "idempotency_key"),
        ("MISSING_FIELD", "issued_by"),
        ("INVALID_FIELD", "run_id"),
        ("UNKNOWN_FIELD", "speed"),
    ]


def test_a_command_does_not_wait_for_itself() -> None:
    error = refusal("hold_run", ENOUGH["hold_run"] | {"after": [RUN, KEY]})
    assert error.code is Code.INVALID_FIELD
    assert "wait for itself" in error.message


def test_an_adopted_lot_is_given_something() -> None:
    fields = {name: value for name, value in ENOUGH["adopt_lot"].items() if name != "lot_type"}
    error = refusal("adopt_lot", fields)
    assert (error.code, "lot_type, run_id or step_index" in error.message) == (Code.INVALID_FIELD, True)
    assert all(parse("adopt_lot", fields | {name: value}) for name, value in OPTIONAL["adopt_lot"].items())


def test_reasons_are_trimmed_and_measured_then() -> None:
    assert parse("hold_run", ENOUGH["hold_run"] | {"reason": "  ten chars! \n"}).payload["reason"] == "ten chars!"
    assert len(parse("hold_run", ENOUGH["hold_run"] | {"reason": " " + "x" * 500 + " "}).payload["reason"]) == 500


def test_a_run_has_its_keys_id_where_none_is_given() -> None:
    assert parse("start_run", ENOUGH["start_run"]).target_run == UUID(KEY)
    assert parse("start_run", full("start_run")).target_run == UUID(RUN)
    assert parse("hold_run", ENOUGH["hold_run"]).target_run == UUID(RUN)


def test_commands_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse("hold_run", ENOUGH["hold_run"]).issued_by = uuid4()


@pytest.mark.parametrize("name", COMMANDS)
def test_payload_is_json_and_reads_back_as_the_same_command(name: str) -> None:
    command = parse(name, full(name))
    payload = json.loads(json.dumps(command.payload))
    again = parse(name, payload | {"idempotency_key": KEY})
    assert again == command
    assert again.fingerprint == command.fingerprint


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"issued_at": "2026-02-01T06:00:00Z"}, True),
        ({"source": "another"}, True),
        ({"correlation_id": "another"}, True),
        ({"idempotency_key": RUN}, True),
        ({"operator_id": None}, True),
        ({"daily_target_kg": 500}, True),
        ({"daily_target_kg": "500.00"}, True),
        ({"flow_version_id": VERSION.upper()}, True),
        ({"issued_by": RUN}, False),
        ({"flow_version_id": RUN}, False),
        ({"operator_id": USER}, False),
        ({"daily_target_kg": 500.001}, False),
        ({"site_code": "BUDA"}, False),
        ({"after": [RUN]}, False),
    ],
)
def test_what_makes_another_payload(fields: Fields, same: bool) -> None:
    first = ENOUGH["start_run"] | {"daily_target_kg": 500.0}
    repeat = parse("start_run", first | fields)
    assert (parse("start_run", first).fingerprint == repeat.fingerprint) is same


def test_another_command_is_another_payload() -> None:
    fingerprints = {parse(name, ENOUGH["hold_run"]).fingerprint for name in ("hold_run", "abort_run")}
    assert len(fingerprints) == 2


def test_who_may_issue_what() -> None:
    allowed = {name: " ".join(sorted(command.roles)) for name, command in COMMANDS.items()}
    assert allowed == {
        "start_run": "ADMIN MANAGER OPERATOR",
        "advance_step": "ADMIN MANAGER OPERATOR",
        "hold_run": "ADMIN AUDITOR MANAGER OPERATOR",
        "resume_run": "ADMIN MANAGER",
        "complete_run": "ADMIN MANAGER OPERATOR",
        "abort_run": "ADMIN MANAGER",
        "rollback_step": "ADMIN MANAGER",
        "archive_run": "ADMIN",
        "adopt_run": "ADMIN MANAGER",
        "register_lot": "ADMIN MANAGER OPERATOR",
        "record_qc_decision": "ADMIN AUDITOR MANAGER OPERATOR",
        "resolve_hold": "ADMIN MANAGER",
        "reject_lot": "ADMIN MANAGER",
        "consume_lot": "ADMIN MANAGER OPERATOR",
        "finish_lot": "ADMIN MANAGER OPERATOR",
        "adopt_lot": "ADMIN MANAGER",
        "submit_flow_version": "ADMIN MANAGER",
        "approve_flow_version": "ADMIN MANAGER",
        "reject_flow_version": "ADMIN MANAGER",
        "deprecate_flow_version": "ADMIN",
    }
    assert not any(UserRole.VIEWER in command.roles for command in COMMANDS.values())


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.uuids().map(str)
)
ANYTHING = st.recursive(SCALARS, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=5)
FIELD_NAMES = st.sampled_from(sorted({field for command in COMMANDS.values() for field in command.model_fields}))


@given(
    name=st.sampled_from(sorted(COMMANDS)) | ANYTHING,
    given_fields=st.dictionaries(FIELD_NAMES | st.text(), ANYTHING) | ANYTHING,
    enough=st.booleans(),
)
def test_whatever_comes_is_a_command_or_an_invalid_message(name: Any, given_fields: Any, enough: bool) -> None:
    """And what it says can be stored, shown and sent: short, without NUL, without half characters."""
    if enough and isinstance(name, str) and isinstance(given_fields, dict):
        given_fields = ENOUGH.get(name, {}) | given_fields
    try:
        said = [json.dumps(parse(name, given_fields).payload, ensure_ascii=False).replace("\\u0000", "\x00")]
    except InvalidMessage as error:
        said = [error.message, *(problem["message"] for problem in error.facts.get("problems", ()))]
    assert all(text.encode() and "\x00" not in text for text in said)
    assert len(said[0]) < 4000
