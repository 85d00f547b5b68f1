"""docs/messages.md names every command and field, and its examples can be read."""

import json
from typing import Any
from uuid import UUID

import pytest
from tests.unit.documents import DOCS, blocks, rows, section

from runworker.codes import Code
from runworker.commands import BULK_LIMIT, COMMANDS, Command, parse
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

PAGE = (DOCS / "messages.md").read_text()
COMMON = list(Command.model_fields)


def told(schema: dict[str, Any], defined: dict[str, Any]) -> str:  # noqa: PLR0912 - one case a kind of field
    """A field's type in words, from its own constraints."""
    if "decimal_places" not in schema:
        schema = next(option for option in schema.get("anyOf", [schema]) if option.get("type") != "null")
    if "$ref" in schema:
        schema = defined[schema["$ref"].rsplit("/", 1)[1]]
    match schema:
        case {"enum": values}:
            words = f"one of {', '.join(values)}"
        case {"type": "boolean"}:
            words = "true or false"
        case {"type": "object"}:
            words = "JSON object"
        case {"items": {"$ref": _}, "maxItems": most}:
            words = f"list of up to {most} objects of `lot_id` and `quantity_used_kg`"
        case {"decimal_places": places, "ge": low, "le": high}:
            words = f"number, {low} to {high}, {places} decimal"
        case {"decimal_places": places, "max_digits": digits}:
            words = f"number above 0, up to {digits - places} digits and {places} decimals"
        case {"format": "uuid"}:
            words = "UUID"
        case {"format": "date-time"}:
            words = "time with zone"
        case {"type": "array", "maxItems": most}:
            words = f"list of up to {most} UUIDs"
        case {"type": "integer", "minimum": low, "maximum": high}:
            words = f"whole number, {low} to {high}"
        case {"pattern": pattern}:
            words = f"text, `{pattern}`"
        case {"minLength": low, "maxLength": high}:
            words = f"text, {low} to {high} characters"
        case {"maxLength": high}:
            words = f"text, up to {high} characters"
        case _:
            raise AssertionError(f"no words for {schema}")
    return words


def fields(command: type[Command], names: list[str]) -> list[list[str]]:
    schema = command.model_json_schema()
    return [
        [
            f"`{name}`",
            told(schema["properties"][name], schema.get("$defs", {})),
            "yes" if name in schema["required"] else "no",
        ]
        for name in names
    ]


def test_common_fields() -> None:
    table = rows(section(PAGE, "## Fields of every command"))

    assert [row[:3] for row in table] == fields(Command, COMMON)
    assert all(row[3] for row in table)


@pytest.mark.parametrize("name", COMMANDS)
def test_fields_of(name: str) -> None:
    text = section(PAGE, f"### {name}")
    own = [field for field in COMMANDS[name].model_fields if field not in COMMON]

    assert [row[:3] for row in rows(text)] == fields(COMMANDS[name], own)
    assert all(row[3] for row in rows(text))
    assert f"Roles: {', '.join(sorted(COMMANDS[name].roles))}." in text


@pytest.mark.parametrize("name", COMMANDS)
def test_example_of(name: str) -> None:
    [example] = blocks(section(PAGE, f"### {name}"), "json")

    command = parse(name, json.loads(example))

    own = {field for field in COMMANDS[name].model_fields if field not in COMMON}
    assert own <= json.loads(example).keys(), "shows every field"
    assert command.name == name


def test_no_command_too_many() -> None:
    headings = [line.removeprefix("### ") for line in section(PAGE, "## Commands").splitlines() if "### " in line]
    assert headings == list(COMMANDS)


def test_bulk_example() -> None:
    [example] = blocks(section(PAGE, "## Many commands in one message"), "json")
    (listed,) = json.loads(example).values()

    assert [parse(item.pop("command"), item).name for item in listed] == ["start_run", "advance_step"]
    assert f"up to {BULK_LIMIT} commands" in PAGE


def test_example_verdicts_are_verdicts() -> None:
    read = [Verdict.from_dict(json.loads(block)) for block in blocks(section(PAGE, "## Verdict"), "json")]

    assert [verdict.status for verdict in read] == [
        CommandStatus.APPLIED,
        CommandStatus.WAITING,
        CommandStatus.REJECTED,
    ]
    assert read[2].code is Code.RUN_ON_HOLD
    assert all(isinstance(verdict.idempotency_key, UUID) for verdict in read)
    for verdict, block in zip(read, blocks(section(PAGE, "## Verdict"), "json"), strict=True):
        assert verdict.as_dict() == json.loads(block)


def test_parts_of_a_verdict() -> None:
    table = rows(section(PAGE, "## Verdict"))
    assert [row[0].strip("`") for row in table] == [name for name in Verdict.__dataclass_fields__ if name != "state"]
