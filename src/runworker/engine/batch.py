"""A batch: what it is asked to do, what comes of it, and one command on its way through."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from runworker.commands import Command, parse
from runworker.config import Settings
from runworker.engine.sql.ledger import LedgerRow
from runworker.engine.sql.versions import Plans
from runworker.errors import InvalidMessage, NotYet, Rejected
from runworker.handlers.facts import Outcome
from runworker.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Resources:
    """The things that all batches of a process share.

    counter_pool: connections of its own, so that numbers never wait for batches.
    """

    settings: Settings
    counter_pool: Engine
    plans: Plans


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What a batch is to do.

    commands: as delivered, repeats included; task_ids by key. stored: keys of ledger rows to judge again.
    refused: rejections known from an attempt that the database refused. release: whether commands that waited for
    these are judged too. expire: whether overdue commands give up.
    """

    commands: Sequence[Command] = ()
    task_ids: Mapping[UUID, str] = field(default_factory=dict)
    stored: Collection[UUID] = ()
    refused: Mapping[UUID, Rejected] = field(default_factory=dict)
    release: bool = True
    expire: bool = False


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What came of a request.

    verdicts: one for each of its commands. late: verdicts by task id of commands decided now whose own message was
    answered WAITING before. changed_ids: whose waiting commands `release=False` left unjudged.
    """

    verdicts: list[Verdict]
    late: dict[str, Verdict]
    changed_ids: set[UUID]


Answer = Outcome | Rejected | InvalidMessage | NotYet
_FINAL: Final = (Outcome, Rejected, InvalidMessage)


@dataclass(slots=True)
class PendingCommand:
    """One command on its way through a batch.

    command: as read, or why it cannot be. row: its ledger row, where it was known before. undecided: keys of `after`
    that are still open. answer: what the judge said last. expired: the answer is NotYet, and time is up.
    """

    key: UUID
    command: Command | InvalidMessage
    row: LedgerRow | None
    undecided: tuple[UUID, ...]
    answer: Answer | None = None
    expired: bool = False

    @classmethod
    def of_delivery(cls, command: Command) -> "PendingCommand":
        """A command that the ledger does not know."""
        return cls(command.idempotency_key, command, None, command.after)

    @classmethod
    def of_row(cls, row: LedgerRow) -> "PendingCommand":
        """A command that the ledger keeps. One that an upstream put there may be unreadable."""
        command: Command | InvalidMessage
        try:
            key = {"idempotency_key": str(row.idempotency_key)}
            command = parse(row.command, row.payload | key if isinstance(row.payload, dict) else row.payload)
        except InvalidMessage as error:
            command = error
        if row.waiting_for is not None:
            undecided = tuple(map(UUID, row.waiting_for.get("after", ())))
        else:
            undecided = command.after if isinstance(command, Command) else ()
        return cls(row.idempotency_key, command, row, undecided)

    @property
    def is_decided(self) -> bool:
        """Whether the answer is final."""
        return self.expired or isinstance(self.answer, _FINAL)

    @property
    def name(self) -> str | None:
        """Wire name of the command, as far as it is known."""
        if isinstance(self.command, Command):
            return self.command.name
        return self.row.command if self.row else None
