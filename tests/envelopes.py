"""Messages as they stand in the broker's list: sound ones, and what a broken or hostile sender makes of them."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

ABSENT: Final = object()
"""In place of a value: the part is left out."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """An item of the broker's list.

    content: its bytes. body: those that a dead letter keeps of it. task_id: where its sender looks for a verdict, None
    where there can be none.
    """

    content: bytes
    body: bytes
    task_id: str | None = None


def message(
    fields: Fields,
    *,
    body: object = None,
    headers: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
) -> Item:
    """What Celery's client writes to send start_run with these fields.

    body: in place of the usual one; bytes as they are, anything else as JSON. headers, properties, and parts of the
    envelope are laid over the usual ones.
    """
    key = fields["idempotency_key"]
    usual = [[], fields, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    content = usual if body is None else body
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    envelope = {
        "body": base64.b64encode(raw).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": _laid_over(
            headers,
            lang="py",
            task="runworker.start_run",
            id=key,
            root_id=key,
            parent_id=None,
            group=None,
            eta=None,
            expires=None,
            retries=0,
            timelimit=[None, None],
            shadow=None,
            argsrepr="()",
            kwargsrepr="{}",
        ),
        "properties": _laid_over(
            properties,
            correlation_id=key,
            reply_to=str(uuid4()),
            delivery_mode=2,
            delivery_info={"exchange": "", "routing_key": "celery"},
            priority=0,
            body_encoding="base64",
            delivery_tag=str(uuid4()),
        ),
    }
    envelope = _laid_over(parts, **envelope)
    given_headers = envelope.get("headers")
    task_id = given_headers.get("id") if isinstance(given_headers, dict) else None
    return Item(json.dumps(envelope).encode(), raw, _answerable(task_id))


def old_message(fields: Fields, **parts: Any) -> Item:
    """The same in the first version of Celery's protocol, which clients in other languages speak."""
    body = _laid_over(
        parts,
        task="runworker.start_run",
        id=fields["idempotency_key"],
        args=[],
        kwargs=fields,
        retries=0,
        eta=None,
        expires=None,
    )
    made = message(fields, body=body, parts={"headers": {}})
    return Item(made.content, made.body, _answerable(body.get("id")))


def unopened(content: bytes) -> Item:
    """An item that is no message: the whole of it is kept."""
    return Item(content, content)


def nested(levels: int) -> list[Any]:
    """Lists in lists."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def _answerable(task_id: object) -> str | None:
    return task_id if isinstance(task_id, str) and task_id and task_id.isprintable() else None


def _laid_over(parts: Mapping[str, Any] | None, **usual: Any) -> dict[str, Any]:
    return {name: value for name, value in {**usual, **(parts or {})}.items() if value is not ABSENT}
