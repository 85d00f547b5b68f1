"""The base of all commands, and the types of their fields."""

import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
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
    model_validator,
)

from runworker.states import UserRole

BULK_LIMIT: Final = 500
"""Most commands that one `runworker.apply` message carries."""

DOCUMENT_LIMIT: Final = 16_384
"""Longest free document of a command, in characters of JSON."""

# As json.dumps writes it: a high half without its low one, or the other way round.
_LONE_SURROGATE: Final = re.compile(
    r"\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}"
)

_NOT_ASKED: Final = frozenset({"issued_at", "source", "correlation_id"})
"""Fields that are kept for the record and do not make a command another one."""

_SORTED: Final = json.JSONEncoder(sort_keys=True)  # json.dumps would make one for each command

SHOP_FLOOR: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER, UserRole.OPERATOR})
MANAGEMENT: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER})
QUALITY: Final = SHOP_FLOOR | {UserRole.AUDITOR}


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
Weight = Annotated[
    Decimal, BeforeValidator(_no_bool), Field(gt=0, max_digits=10, decimal_places=2), AfterValidator(_plain)
]
"""Kilograms of a lot, to ten grams."""
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(_storable)]
Celsius = Annotated[
    Decimal,
    BeforeValidator(_no_bool),
    Field(ge=-99, le=99, max_digits=4, decimal_places=1),
    AfterValidator(_plain),
]


def _storable_document(document: dict[str, Any]) -> dict[str, Any]:
    written = json.dumps(document, ensure_ascii=True, allow_nan=False)
    if "\\u0000" in written or _LONE_SURROGATE.search(written):
        raise ValueError("contains a NUL character or half a surrogate pair, which PostgreSQL cannot store")
    if len(written) > DOCUMENT_LIMIT:
        raise ValueError(f"is {len(written)} characters of JSON long; at most {DOCUMENT_LIMIT} are kept")
    return document


Document = Annotated[dict[str, Any], AfterValidator(_storable_document)]


class Command(BaseModel):
    """Base of all commands, with the fields that every one of them has.

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
        return self.__dict__.get("run_id")

    @property
    def target_lot(self) -> UUID | None:
        """Id of the lot that the command is about."""
        return self.__dict__.get("lot_id")

    @property
    def other_lots(self) -> frozenset[UUID]:
        """Ids of lots that the command needs besides: parents, or the lot that takes material."""
        return frozenset()

    @property
    def targets(self) -> frozenset[UUID]:
        """Ids of all runs and lots that the command is about; some may not exist yet."""
        own = {id_ for id_ in (self.target_run, self.target_lot) if id_ is not None}
        return self.other_lots | own

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        """All given fields as JSON types, as the ledger keeps them."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key"})

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of name and fields, but for `_NOT_ASKED`. A key that comes with another is the sender's mistake."""
        return fingerprint_of(self.name, self.payload)


def fingerprint_of(name: str, payload: Mapping[str, Any]) -> bytes:
    """The fingerprint of a command whose payload is spelled as the ledger keeps what a worker has read."""
    asked = {field: value for field, value in payload.items() if field not in _NOT_ASKED}
    return hashlib.sha256(_SORTED.encode([name, asked]).encode()).digest()
