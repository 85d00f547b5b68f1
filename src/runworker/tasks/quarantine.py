"""Quarantine: commands whose handling ends its process, again and again, are kept in dead_letters and handled no more.

Which message does that, no survivor can see: a process dies with all that it had in hand. So a message that was lost
with a process is handled among a few such the next time, then alone, and only a death in which it was alone counts
against it.
docs/decisions/quarantine.md.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import structlog
from kombu.message import Message

from runworker.codes import Code
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.safe_text import is_storable
from runworker.tasks.admission import name_and_id, raw_body
from runworker.tasks.letters import Letters
from runworker.transport import deaths_of

_log = structlog.get_logger(__name__)


class Quarantine:
    """Takes messages out of a worker's hands."""

    def __init__(self, app: Any, letters: Letters) -> None:
        self._app = app
        self._letters = letters

    def is_due(self, message: Message) -> bool:
        """Whether the message has ended as many processes as it may."""
        return (deaths_of(message.headers) or 0) >= self._app.settings.quarantine_after

    def take(self, message: Message) -> None:
        """Keep the message's commands, tell the sender, acknowledge. While PostgreSQL takes nothing it goes back.

        Of a message with many commands each is kept by itself, so that each can be replayed by itself.
        """
        self._take(message, Code.QUARANTINED, f"its handling ended {deaths_of(message.headers)} processes of workers")

    def take_failed(self, message: Message, reason: str) -> None:
        """Do the same with a message over which Celery failed: it cannot tell whether the command is decided."""
        self._take(message, Code.INTERNAL_ERROR, reason)

    def _take(self, message: Message, code: Code, reason: str) -> None:
        name = name_and_id(message)[0] or ""

        def kept() -> Any:
            answers = [self._answer(message, part, code, reason) for part in _parts(message, name)]
            return answers if name == "runworker.apply" else answers[0]

        self._letters.take(message, code, kept)

    def _answer(self, message: Message, part: "_Part", code: Code, reason: str) -> dict[str, Any]:
        """The verdict on a command: the ledger's, where it has one, since processes may have died after the commit."""
        known = self._app.engine.verdicts([part.key]) if part.key else {}
        if part.key in known:
            return dict(known[part.key].as_dict())
        task_id = name_and_id(message)[1]
        letter = NewDeadLetter(
            raw_body=part.body,
            code=code,
            error=reason,
            task_name=f"runworker.{part.command}",
            task_id=task_id,
            headers=message.headers,
        )
        refusal = self._letters.keep(letter, part.key)
        if code is Code.QUARANTINED:
            _log.error("message.quarantined", dead_letter=refusal["dead_letter"], task_id=task_id, error=reason)
        return refusal


class _Part:
    """One command of a message, as far as it can be told without the parser, which may be what ends processes."""

    def __init__(self, command: object, fields: Mapping[str, Any], body: bytes | None = None) -> None:
        self.command = command if isinstance(command, str) and is_storable(command) else "unknown"
        self.key = _uuid(fields.get("idempotency_key"))
        self.body = json.dumps([[], fields, {}]).encode() if body is None else body


def _parts(message: Message, name: str) -> Iterator[_Part]:
    body: Any = message.decode()
    fields: Mapping[str, Any] = body["kwargs"] if isinstance(body, Mapping) else body[1]
    if name == "runworker.apply" and isinstance(fields.get("commands"), list):
        for each in fields["commands"]:
            item = dict(each) if isinstance(each, Mapping) else {"item": each}
            yield _Part(item.pop("command", None), item)
    else:
        yield _Part(name.removeprefix("runworker."), fields, raw_body(message))


def _uuid(key: object) -> UUID | None:
    try:
        return UUID(key) if isinstance(key, str) else None
    except ValueError:
        return None
