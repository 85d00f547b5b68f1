"""The files of `alembic/`: which revisions this release knows, and which triggers they leave. Needs no Alembic.

They travel in the wheel as `runworker/_alembic`.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

CREATED: Final = re.compile(
    r"^CREATE (?:FUNCTION (?P<function>\w+)|(?:CONSTRAINT )?TRIGGER (?P<trigger>\w+)\n.* ON (?P<table>\w+)$)",
    re.MULTILINE,
)
"""Each function and trigger that a file of `alembic/sql` creates; a test finds what this would overlook."""

_IDS: Final = re.compile(r'^(?:down_)?revision = (?:"(\w+)"|None)$', re.MULTILINE)

_OLDER: Final = frozenset(
    ("flow_versions", name)
    for name in ("trg_flow_version_immutable", "trg_flow_version_kept", "trg_flow_version_truncate")
)
"""Triggers, with their table, that stand in a revision itself: they were there before `alembic/sql`."""


def folder() -> Path:
    """Where the revisions lie: in the wheel, or in the checkout."""
    package = Path(__file__).resolve().parent
    packed = package / "_alembic"
    return packed if packed.is_dir() else package.parents[1] / "alembic"


@cache
def known() -> tuple[str, ...]:
    """The revisions of this release, the oldest first; the last is the one that its tables are at."""
    files = [path.read_text(encoding="utf-8") for path in (folder() / "versions").glob("*.py")]
    after = {before: revision for revision, before in map(_IDS.findall, files)}
    found = [after[""]]
    while found[-1] in after:
        found.append(after[found[-1]])
    return tuple(found)


@cache
def triggers() -> frozenset[tuple[str, str]]:
    """The triggers of the newest revision, each with its table before its name."""
    newest: dict[str, tuple[int, Path]] = {}
    for path in (folder() / "sql").glob("*.sql"):
        name, _, version = path.stem.rpartition("@")
        newest[name] = max(newest.get(name, (0, path)), (int(version), path))
    created = (CREATED.finditer(path.read_text(encoding="utf-8")) for _, path in newest.values())
    return _OLDER | {(found["table"], found["trigger"]) for each in created for found in each if found["trigger"]}
