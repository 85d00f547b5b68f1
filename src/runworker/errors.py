"""The errors that runworker raises on purpose.

    RunworkerError
    ├── ConfigurationError      a setting is wrong; stops the start
    │   └── NotStarted          the same, as Celery's command line shows it (`runworker.tasks`)
    ├── ServerError             an embedded server would not start
    ├── InvalidMessage          a message cannot be read as a command; goes to dead_letters
    ├── Rejected                a rule says no; becomes a verdict
    │   └── PlanInvalid         a graph gives no plan; lists every problem (`runworker.plan`)
    ├── NotYet                  a command comes before its turn; becomes a WAITING verdict
    ├── Unavailable             PostgreSQL is away or busy; the message stays in the broker
    │   └── Blocked             some commands met a lock or a rule of others; the rest is decided
    ├── ImportRefused           a flow or user file does not fit; nothing was written (`runworker.imports`)
    ├── NotReplayable           a dead letter cannot be sent again (`runworker.dead_letters`)
    ├── NotFound                nothing has the code or id that was asked for (`runworker.tracing`)
    ├── FileNotWritten          a command could not write its output (`runworker.cli`)
    ├── NotArchived             a month of audit events could not be archived (`runworker.upkeep`)
    ├── NotReady                a worker answers the health check and takes no messages (`runworker.cli`)
    ├── NoAnswer                no worker answered the health check (`runworker.cli`)
    ├── NotSent                 the broker did not take a client's message (`runworker.client`)
    ├── KeyReused               a key that was to be queued is another command's (`runworker.client`)
    ├── CommandRejected         a verdict, where a client asked for an exception (`runworker.client`)
    └── NoVerdict               no verdict came in time (`runworker.client`)
        └── Revoked             an operator ended the message at work (`runworker.client`)

A test holds this tree against the classes. Codes of refusals: `runworker.codes`.
"""

from collections.abc import Mapping, Sequence
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
    blocked_on: ids (runs, lots, command keys) whose change lets the command be tried again.
    """

    def __init__(self, message: str, *, waiting_for: Mapping[str, Any], blocked_on: tuple[Any, ...]) -> None:
        super().__init__(message)
        self.message = message
        self.waiting_for = waiting_for
        self.blocked_on = blocked_on


class KeyReused(RunworkerError):
    """A command was to be queued under a key that the ledger has for another one."""


class Unavailable(RunworkerError):
    """PostgreSQL did not answer within the retry time. Nothing was written; send or deliver again."""


class Blocked(Unavailable):
    """Something stands in the way of some commands. The others are decided.

    verdicts: one for each command, None for those that are to be delivered again. pause_seconds: not before.
    """

    def __init__(self, message: str, verdicts: Sequence[Any], pause_seconds: float) -> None:
        super().__init__(message)
        self.verdicts = verdicts
        self.pause_seconds = pause_seconds
