"""Messages that something on the way has damaged: each has to become a dead letter, and harm no other message.

Each has an id of its own, by which its dead letter is found: as the id of its task or, where nothing of the envelope
is left, in the item itself.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from runworker.commands import Command


@dataclass(frozen=True, slots=True)
class DamagedItem:
    """An item of the broker's list. identity: by which its dead letter is known. is_answered: whether it has a task id
    that a verdict can be read under."""

    identity: str
    content: bytes
    is_answered: bool


def damaged(random: Random, command: Command, identity: str) -> DamagedItem:
    """The message of a command as something has damaged it. identity: a UUID."""
    return random.choice(_DAMAGES)(command, identity)


def _cut_short(command: Command, identity: str) -> DamagedItem:
    body = _body(command, identity)
    return _item(command, identity, body[: len(body) // 2])


def _not_text(command: Command, identity: str) -> DamagedItem:
    return _item(command, identity, _body(command, identity).replace(b'"source"', b'"sou\xffce"', 1) + b"\xff")


def _wrong_field(command: Command, identity: str) -> DamagedItem:
    return _item(command, identity, _body(command, identity, issued_by="nobody"))


def _no_list(command: Command, identity: str) -> DamagedItem:
    return _item(command, identity, json.dumps({"args": None, "id": identity}).encode())


def _no_envelope(_command: Command, identity: str) -> DamagedItem:
    return DamagedItem(identity, identity.encode(), is_answered=False)


_DAMAGES: Final[tuple[Callable[[Command, str], DamagedItem], ...]] = (
    _cut_short,
    _not_text,
    _wrong_field,
    _no_list,
    _no_envelope,
)


def _body(command: Command, identity: str, **damage: Any) -> bytes:
    fields: Mapping[str, Any] = {"idempotency_key": identity, **command.payload, **damage}
    return json.dumps([[], fields, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()


def _item(command: Command, identity: str, body: bytes) -> DamagedItem:
    """As Celery's own client writes a message, but for its body."""
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": f"runworker.{command.name}", "id": identity, "root_id": identity},
        "properties": {
            "correlation_id": identity,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": identity,
        },
    }
    return DamagedItem(identity, json.dumps(envelope).encode(), is_answered=True)
