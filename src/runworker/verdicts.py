"""Verdicts: the answers to commands. Values, never exceptions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import UUID

from runworker.codes import Code
from runworker.states import DECIDED_COMMANDS, CommandStatus

_OWN = (
    "status", "command", "idempotency_key", "payload_sha256", "run_id", "lot_id", "code", "message", "waiting_for",
    "replayed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one command.

    status: APPLIED, REJECTED, WAITING or EXPIRED. command and idempotency_key are None only where the message was
    too broken to tell. code and message say why, for REJECTED and EXPIRED; a code that another release gave may be
    unknown here, and is text then. waiting_for says what has to happen
    first, for WAITING. state: what the entity became, flattened into the wire form. payload_sha256: the fingerprint
    of the command that it is about, as hex; None where that could not be read.
    """

    status: CommandStatus
    command: str | None
    idempotency_key: UUID | None
    run_id: UUID | None = None
    lot_id: UUID | None = None
    code: Code | str | None = None
    message: str | None = None
    waiting_for: Mapping[str, Any] | None = None
    replayed: bool = False
    state: Mapping[str, Any] = field(default_factory=dict)
    payload_sha256: str | None = None

    @property
    def decided(self) -> bool:
        """Whether this verdict is final."""
        return self.status in DECIDED_COMMANDS

    def is_about(self, fingerprint: bytes) -> bool:
        """Whether it is about this command, as far as it tells: workers of an earlier release did not say."""
        return self.payload_sha256 in (None, fingerprint.hex())

    def as_replay(self) -> Self:
        """The same verdict, told again. Whether anybody ever got it before, nobody knows."""
        return replace(self, replayed=True)

    def as_dict(self) -> dict[str, Any]:
        """The wire form: JSON types only; absent parts are left out, but for status, command, key and replayed."""
        wire: dict[str, Any] = {
            "status": str(self.status),
            "command": self.command,
            "idempotency_key": str(self.idempotency_key) if self.idempotency_key else None,
            "replayed": self.replayed,
        }
        for name in ("run_id", "lot_id", "code"):
            if (value := getattr(self, name)) is not None:
                wire[name] = str(value)
        for name in ("message", "payload_sha256"):
            if (value := getattr(self, name)) is not None:
                wire[name] = value
        if self.waiting_for is not None:
            wire["waiting_for"] = dict(self.waiting_for)
        return wire | dict(self.state)

    @classmethod
    def from_dict(cls, wire: Mapping[str, Any]) -> Self:
        """Read the wire form back. Raises KeyError or ValueError where it is none."""

        def uuid(name: str) -> UUID | None:
            return UUID(wire[name]) if wire.get(name) else None

        return cls(
            status=CommandStatus(wire["status"]),
            command=wire["command"],
            idempotency_key=uuid("idempotency_key"),
            run_id=uuid("run_id"),
            lot_id=uuid("lot_id"),
            code=_code(wire["code"]) if wire.get("code") else None,
            message=wire.get("message"),
            waiting_for=wire.get("waiting_for"),
            replayed=wire["replayed"],
            payload_sha256=wire.get("payload_sha256"),
            state={name: value for name, value in wire.items() if name not in _OWN},
        )


def _code(text: str) -> Code | str:
    try:
        return Code(text)
    except ValueError:
        return text
