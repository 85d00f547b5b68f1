"""The errors that runworker raises on purpose.

TREE
"""

from collections.abc import Mapping
from typing import Any

from runworker.codes import Code


class RunworkerError(Exception):
    """Root of all errors that runworker raises on purpose."""


class ConfigurationError(RunworkerError):
    """Settings do not fit; the text lists every problem, secrets masked."""


class ServerError(RunworkerError):
    """An embedded server could not be started or found; the text says what to do."""


class _Coded(RunworkerError):
    def __init__(self, code: Code, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts: Mapping[str, Any] = facts


class InvalidMessage(_Coded):
    """A message that cannot be read as a command. Not an outcome of a rule: it never enters the ledger."""


class Rejected(_Coded):
    """A rule says no. `facts` go into the verdict beside code and message."""


class NotYet(RunworkerError):
    """A command before its turn.

    waiting_for: what has to happen first, as the verdict shows it.
    wakes_on: ids (runs, lots, command keys) whose change lets the command be tried again.
    """

    def __init__(self, message: str, *, waiting_for: Mapping[str, Any], wakes_on: tuple[Any, ...]) -> None:
        super().__init__(message)
        self.message = message
        self.waiting_for = waiting_for
        self.wakes_on = wakes_on


class Unavailable(RunworkerError):
    """PostgreSQL did not answer within the retry time. Nothing was written; send or deliver again."""
