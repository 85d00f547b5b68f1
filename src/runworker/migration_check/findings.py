"""What a look before a migration finds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MigrationFinding:
    """One thing that a migration would meet.

    severity: it stops the migration, or bends: the plant sees something else afterwards. object: what in the database
    it is about. what: what is there. why: what a revision makes of it. remedy: what to do, SQL where there is some.
    """

    severity: Literal["stops", "bends"]
    object: str
    what: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.object}: {self.what} {self.why} Remedy: {self.remedy}"


def stops(on: str, what: str, why: str, remedy: str) -> MigrationFinding:
    """The migration would fail, or commands would fail ever after."""
    return MigrationFinding("stops", on, what, why, remedy)


def bends(on: str, what: str, why: str, remedy: str) -> MigrationFinding:
    """The migration succeeds, and the plant sees something else than before."""
    return MigrationFinding("bends", on, what, why, remedy)


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in a row, and how many more there are."""
    known = list(names)
    more = len(known) - most
    return ", ".join(known[:most]) + (f" and {more} more" if more > 0 else "")
