"""Commands: what an upstream may ask, field by field. The wire contract.

A command is a Celery task name and keyword arguments in JSON. `parse` turns them into a frozen object or says exactly
which field is wrong. Roles that may issue a command stand beside it.
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from runworker.errors import Code, InvalidMessage
from runworker.states import UserRole

BULK_LIMIT: Final = 500
"""Most commands that one `runworker.apply` message carries."""

_SHOWN: Final = 60
"""Characters of a wrong value that an error message repeats."""

_SHOP_FLOOR: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER, UserRole.OPERATOR})
_MANAGEMENT: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER})
_ANY_WATCHFUL: Final = _SHOP_FLOOR | {UserRole.AUDITOR}


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL character, which PostgreSQL cannot store")
    return text


def _plain(number: Decimal) -> Decimal:
    # 500, 500.0 and "500" ask the same: one payload, one fingerprint.
    return Decimal(f"{number.normalize():f}")


def _no_bool(value: Any) -> Any:
    # Python takes True for the number 1; a sender that writes true for kilograms has made a mistake.
    if isinstance(value, bool):
        raise ValueError("expected a number, got a boolean")  # noqa: TRY004 - pydantic wants ValueError
    return value


Label = Annotated[str, StringConstraints(max_length=200), AfterValidator(_storable)]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=10, max_length=500), AfterValidator(_storable)
]
StepIndex = Annotated[StrictInt, Field(ge=0, le=10)]
Kilograms = Annotated[
    Decimal, BeforeValidator(_no_bool), Field(gt=0, max_digits=12, decimal_places=3), AfterValidator(_plain)
]


class Command(BaseModel):
    """What every command carries.

    idempotency_key: makes the command take effect once. issued_by: the user that asks. issued_at, source and
    correlation_id: kept for the record and not part of the payload's identity, so that a sender may repeat a command
    with fresh ones. after: up to 20 keys of commands that must be decided before this one is handled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: ClassVar[str]
    roles: ClassVar[frozenset[UserRole]]

    idempotency_key: UUID
    issued_by: UUID
    issued_at: AwareDatetime | None = None
    source: Label | None = None
    correlation_id: Label | None = None
    after: Annotated[tuple[UUID, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _not_after_itself(self) -> "Command":
        if self.idempotency_key in self.after:
            raise ValueError("after names the command's own key: it would wait for itself")
        return self

    @property
    def target_run(self) -> UUID | None:
        """Id of the run that the command is about."""
        return getattr(self, "run_id", None)

    def payload(self) -> dict[str, Any]:
        """All given fields as JSON types, as the ledger keeps them."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key"})

    def fingerprint(self) -> bytes:
        """SHA-256 of what the command asks. The same key with another fingerprint is a mistake of the sender."""
        asked = self.model_dump(
            mode="json",
            exclude_defaults=True,
            exclude={"idempotency_key", "issued_at", "source", "correlation_id"},
        )
        return hashlib.sha256(json.dumps([self.name, asked], sort_keys=True).encode()).digest()


class StartRun(Command):
    """Create a run, or take an IDLE one, pinned to a PUBLISHED flow version, and begin its step 0."""

    name = "start_run"
    roles = _SHOP_FLOOR

    flow_version_id: UUID
    run_id: UUID | None = None
    site_code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{4}$")] | None = None
    scenario_id: UUID | None = None
    operator_id: UUID | None = None
    daily_target_kg: Kilograms | None = None

    @property
    def target_run(self) -> UUID:
        """The given id, else the key, so that a sender knows the run before the worker does."""
        return self.run_id or self.idempotency_key


class AdvanceStep(Command):
    """Finish the current step and begin the next planned one."""

    name = "advance_step"
    roles = _SHOP_FLOOR

    run_id: UUID
    to_step_index: StepIndex
    operator_id: UUID | None = None


class HoldRun(Command):
    """Pause a RUNNING run."""

    name = "hold_run"
    roles = _ANY_WATCHFUL

    run_id: UUID
    reason: Reason


class ResumeRun(Command):
    """Go on with a run that is on HOLD."""

    name = "resume_run"
    roles = _MANAGEMENT

    run_id: UUID
    resolution: Reason


class CompleteRun(Command):
    """Finish a run that has reached its last planned step."""

    name = "complete_run"
    roles = _SHOP_FLOOR

    run_id: UUID


class AbortRun(Command):
    """End an unfinished run early; steps not finished become SKIPPED."""

    name = "abort_run"
    roles = _MANAGEMENT

    run_id: UUID
    reason: Reason


COMMANDS: Final[Mapping[str, type[Command]]] = {
    command.name: command for command in (StartRun, AdvanceStep, HoldRun, ResumeRun, CompleteRun, AbortRun)
}
"""Every command by its wire name."""


def parse(name: object, fields: object) -> Command:
    """Read one command.

    name: wire name without the `runworker.` prefix. fields: the message's keyword arguments.
    Raises InvalidMessage with the first problem's code; `facts["problems"]` lists all of them, and
    `facts["idempotency_key"]` the key where it could be read.
    """
    if not isinstance(name, str) or name not in COMMANDS:
        raise InvalidMessage(
            Code.UNKNOWN_COMMAND, f"{_short(name)} is no command; known: {', '.join(sorted(COMMANDS))}"
        )
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


def _problem(detail: Any, fields: Mapping[Any, Any]) -> tuple[Code, str]:
    # Escaped: names of fields that we do not know may be anything, also what neither text nor jsonb can hold.
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
