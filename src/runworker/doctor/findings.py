"""What the doctor finds, and the checks that find it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runworker.doctor.access import Access


class Severity(IntEnum):
    """How bad a finding is; the worst one is the exit code, from warning on."""

    OK = -1
    NOTE = 0  # worth knowing, nothing to do now
    WARNING = 1  # something will be lost, stand still or grow, or cannot be told
    ERROR = 2  # workers take nothing, or what was told APPLIED may be lost

    @property
    def word(self) -> str:
        """As it is shown."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was seen. why: it matters because of this. remedy: what to do, a command where there is one."""

    name: str
    severity: Severity
    seen: str
    why: str = ""
    remedy: str = ""


Find = Callable[["Access"], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """A look at one thing. names: of its findings, the first for what is well. asks: how it finds them."""

    names: tuple[str, ...]
    asks: Find

    @property
    def name(self) -> str:
        """What the check is called."""
        return self.names[0]


def check(*names: str) -> Callable[[Find], DoctorCheck]:
    """Make a function that yields findings a check."""
    return lambda asks: DoctorCheck(names, asks)


def ok(name: str, seen: str) -> Finding:
    """Nothing is wrong."""
    return Finding(name, Severity.OK, seen)


def note(name: str, seen: str, why: str = "", remedy: str = "") -> Finding:
    """Worth knowing."""
    return Finding(name, Severity.NOTE, seen, why, remedy)


def warning(name: str, seen: str, why: str, remedy: str) -> Finding:
    """Something to do."""
    return Finding(name, Severity.WARNING, seen, why, remedy)


def error(name: str, seen: str, why: str, remedy: str) -> Finding:
    """Something to do at once."""
    return Finding(name, Severity.ERROR, seen, why, remedy)


def span(seconds: float) -> str:
    """A length of time as a person says it."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def listed(names: list[str], most: int = 5) -> str:
    """Names in a row, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
