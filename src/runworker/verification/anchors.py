"""Anchors: the end of the chain of seals, written down where nobody who can change the database can change it.

A file in a git repository, a timestamping service, another machine: whatever is told a hash today can tell tomorrow
that it was told it.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Final, Self

from sqlalchemy import Connection, text

from runworker.errors import ConfigurationError

_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A seal as it stood at the end of the chain. head: its hash, as hex. sealed_at: UTC, as ISO 8601 has it."""

    head: str
    seal_id: int
    last_event_id: int
    sealed_at: str

    def as_line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, said: str) -> Self:
        """Read the last line that says something: a file may be added to day by day. Raises ConfigurationError."""
        lines = said.strip().splitlines()
        try:
            anchor = cls(**json.loads(lines[-1]))
            is_one = bool(_HASH.fullmatch(anchor.head)) and type(anchor.seal_id) is int
        except (IndexError, TypeError, ValueError):
            is_one = False
        if not is_one:
            raise ConfigurationError(
                "This is no anchor: expected a line as `runworker seals anchor` writes,"
                ' {"head": "...", "seal_id": 1, "last_event_id": 10, "sealed_at": "..."}.'
            )
        return anchor


_LAST: Final = text("""
    SELECT encode(sha256, 'hex'), id, last_event_id,
           to_char(timezone('UTC', sealed_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    FROM audit_seals ORDER BY id DESC LIMIT 1
""")


def anchor_of(connection: Connection) -> Anchor | None:
    """The end of the chain, not recomputed; None where there is no seal yet."""
    row = connection.execute(_LAST).one_or_none()
    return Anchor(*row) if row else None
