"""An examination: group by group, check by check, each with a deadline. What cannot be looked at is a finding."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kombu.exceptions import OperationalError
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as NoConnection
from sqlalchemy.exc import DBAPIError

from runworker.doctor.access import Access
from runworker.doctor.findings import DoctorCheck, Finding, Severity
from runworker.errors import RunworkerError
from runworker.safe_text import without_passwords

DEADLINE_SECONDS: Final = 10.0
"""Longest that a check may take, whatever it waits for: a name that is not resolved, a wire that is cut."""

_CANNOT: Final = "What could not be looked at may be wrong."


@dataclass(frozen=True, slots=True)
class Group:
    """Checks that need the same server. opening: the first, without which the others are not made; None: no server."""

    opening: DoctorCheck | None
    checks: Sequence[DoctorCheck]


def examine(
    access: Access, groups: Sequence[Group], looking_at: Callable[[str], None] = lambda name: None
) -> Iterator[Finding]:
    """Everything that the checks find. looking_at: told of each check before it is made."""
    for group in groups:
        if group.opening is not None:
            looking_at(group.opening.name)
            opened = _made(group.opening, access)
            if any(found.severity > Severity.NOTE for found in opened):
                # Whatever keeps the doctor out, it keeps workers out as well.
                yield from (replace(found, severity=Severity.ERROR) for found in opened)
                yield Finding(
                    group.opening.name,
                    Severity.NOTE,
                    f"Not looked at for this reason: {', '.join(each.name for each in group.checks)}.",
                )
                continue
            yield from opened
        for each in group.checks:
            looking_at(each.name)
            yield from _made(each, access)


def _made(each: DoctorCheck, access: Access) -> list[Finding]:
    """What a check finds. In a thread: not every wait of a library has a limit."""
    found: list[Finding] = []
    ended: list[Finding] = []

    def ask() -> None:
        try:
            found.extend(each.asks(access))
        except Exception as failed:  # of any kind: the doctor tells, and goes on
            ended.append(_cannot(each, failed))

    thread = threading.Thread(target=ask, name=f"doctor-{each.name}", daemon=True)
    thread.start()
    thread.join(DEADLINE_SECONDS)
    if thread.is_alive():
        ended = [_unanswered(each, f"no answer within {DEADLINE_SECONDS:g} s")]
    return [*found, *ended]


def _cannot(each: DoctorCheck, failed: Exception) -> Finding:
    said = _one_line(failed.orig if isinstance(failed, DBAPIError) and failed.orig else failed)
    if getattr(getattr(failed, "orig", None), "sqlstate", None) == "42501" or isinstance(failed, NoPermissionError):
        return Finding(
            each.name, Severity.NOTE, f"This login may not look: {said}.", _CANNOT, "Ask again as a login that may."
        )
    if isinstance(failed, DBAPIError | OperationalError | RedisError | OSError | RunworkerError):
        return _unanswered(each, said)
    return Finding(
        each.name,
        Severity.WARNING,
        f"The check failed: {type(failed).__name__}: {said}.",
        f"A fault of the doctor's. {_CANNOT}",
        "Report it.",
    )


def _unanswered(each: DoctorCheck, said: str) -> Finding:
    return Finding(each.name, Severity.WARNING, f"Could not be looked at: {said}.", _CANNOT, "Ask again.")


def _one_line(failed: BaseException) -> str:
    return without_passwords(" ".join(str(failed).split()))[:300].rstrip(".")


def away(failed: Exception) -> str | None:
    """What a server said that does not let the doctor in; None where the error says something else."""
    cannot = (DBAPIError, OperationalError, NoConnection, AuthenticationError, RedisError, OSError, RunworkerError)
    if not isinstance(failed, cannot):
        return None
    return _one_line(failed.orig if isinstance(failed, DBAPIError) and failed.orig else failed)
