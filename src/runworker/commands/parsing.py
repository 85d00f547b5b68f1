"""Reading a message into a command, or saying exactly which field is wrong."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from runworker.codes import Code
from runworker.commands.base import Command
from runworker.commands.flows import FLOW_COMMANDS
from runworker.commands.lots import LOT_COMMANDS
from runworker.commands.runs import RUN_COMMANDS
from runworker.errors import InvalidMessage

COMMANDS: Final[Mapping[str, type[Command]]] = {
    command.name: command for command in (*RUN_COMMANDS, *LOT_COMMANDS, *FLOW_COMMANDS)
}
"""Every command by its wire name."""

_SHOWN: Final = 60
"""Characters of a wrong value that an error message repeats."""


def parse(name: object, fields: object) -> Command:
    """Read one command.

    name: wire name without the `runworker.` prefix. fields: the message's keyword arguments.
    Raises InvalidMessage with the first problem's code; `facts["problems"]` lists all of them.
    """
    if not isinstance(name, str) or name not in COMMANDS:
        raise InvalidMessage(Code.UNKNOWN_COMMAND, f"{_short(name)} is no command; {_meant(name)}")
    if not isinstance(fields, Mapping):
        raise InvalidMessage(Code.MALFORMED_MESSAGE, f"{name}: expected an object of fields, got {_short(fields)}")
    try:
        return COMMANDS[name].model_validate(dict(fields))
    except ValidationError as error:
        problems = [_problem(detail, fields) for detail in error.errors(include_url=False, include_context=False)]
        raise InvalidMessage(
            problems[0][0],
            f"{name}: " + "; ".join(text for _, text in problems[:5]),
            problems=[{"code": str(code), "message": text} for code, text in problems],
        ) from None


def _meant(name: object) -> str:
    command = name.removeprefix("runworker.") if isinstance(name, str) else ""
    if command in COMMANDS:
        return f"it is the name of a task, and its command is {command}"
    return f"known: {', '.join(sorted(COMMANDS))}"


def _problem(detail: Any, fields: Mapping[Any, Any]) -> tuple[Code, str]:
    # Escaped: names of unknown fields may be anything, also characters that neither text nor jsonb can hold.
    where = ".".join(ascii(str(part)[:60])[1:-1] for part in detail["loc"]) or "command"
    match detail["type"]:
        case "missing":
            return Code.MISSING_FIELD, f"{where} is required"
        case "extra_forbidden":
            return Code.UNKNOWN_FIELD, f"{where} is no field of this command"
        case _:
            got = fields.get(detail["loc"][0]) if detail["loc"] else None
            said = detail["msg"].removeprefix("Value error, ")
            return Code.INVALID_FIELD, f"{where}: {said}" + (f", got {_short(got)}" if got is not None else "")


def _short(value: object) -> str:
    """`value` as a sender wrote it, cut so that a megabyte of nonsense does not come back as one."""
    try:
        text = ascii(value) if isinstance(value, str) else f"{type(value).__name__} {value!a}"
    except (ValueError, RecursionError):  # an integer of thousands of digits; a list in a list in a list...
        return f"{type(value).__name__} too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
