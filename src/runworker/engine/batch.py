"""A batch: its request, its result, and one command on its way through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from runworker.commands import Command
from runworker.config import Settings
from runworker.engine.sql.ledger_rows import LedgerRow
from runworker.engine.sql.versions import Plans
from runworker.errors import InvalidMessage, NotYet, Rejected
from runworker.handlers.facts import Outcome
from runworker.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings, connections and plans that all batches of a process share.

    counter_pool: connections of its own, so that numbers never wait for batches.
    """

    settings: Settings
    counter_pool: Engine
    plans: Plans


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Commands to be processed in one transaction.

    commands: as delivered, repeats included; task_ids by key. stored: keys of ledger rows to judge again, in order.
    refused: rejections known from an attempt that the database refused. wake: whether commands that waited for
    these are judged too. expire: commands whose time was up by then give up; None: none does. share: whether stored
    commands are left out where another batch is at work on what they are about; else this one waits for the other.
    """

    commands: Sequence[Command] = ()
    task_ids: Mapping[UUID, str] = field(default_factory=dict)
    stored: Sequence[UUID] = ()
    refused: Mapping[UUID, Rejected] = field(default_factory=dict)
    wake: bool = True
    expire: datetime | None = None
    share: bool = False


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Verdicts of a batch, and the ids that it changed.

    verdicts: one for each of the request's commands. late: verdicts by task id of commands decided now whose own
    message was answered WAITING before. changed_ids: of commands decided and of entities changed; `wake=False`
    leaves the commands that wait for them unjudged. left: keys of stored commands that `share` left out.
    """

    verdicts: list[Verdict]
    late: dict[str, Verdict]
    changed_ids: set[UUID]
    left: set[UUID]


Judgement = Outcome | Rejected | InvalidMessage | NotYet
_FINAL: Final = (Outcome, Rejected, InvalidMessage)


@dataclass(slots=True)
class PendingCommand:
    """One command on its way through a batch.

    command: as read, or why it cannot be. row: its ledger row, where it was known before. awaited_keys: those of
    `after` that are not decided yet. judgement: the judge's last one. expired: it is NotYet, and time is up.
    """

    key: UUID
    command: Command | InvalidMessage
    row: LedgerRow | None
    awaited_keys: tuple[UUID, ...]
    judgement: Judgement | None = None
    expired: bool = False

    @classmethod
    def of_delivery(cls, command: Command) -> "PendingCommand":
        """A command that the ledger does not know."""
        return cls(command.idempotency_key, command, None, command.after)

    @classmethod
    def of_row(cls, row: LedgerRow, command: "Command | InvalidMessage | None" = None) -> "PendingCommand":
        """A command that the ledger keeps; command: as read from it before. What an upstream put there may be none."""
        command = command or _read(row)
        awaited_keys = row.awaited_keys
        if awaited_keys is None:
            awaited_keys = command.after if isinstance(command, Command) else ()
        return cls(row.idempotency_key, command, row, awaited_keys)

    @property
    def is_decided(self) -> bool:
        """Whether the judgement is final."""
        return self.expired or isinstance(self.judgement, _FINAL)

    @property
    def blocked_on(self) -> tuple[UUID, ...]:
        """Ids whose change has the command judged again by another batch; none once it is decided.

        Beside what it waits for now, all that it is about: it may come to wait for that while this batch, which nobody
        else sees, is under way (`engine.sql.locks`).
        """
        if self.is_decided or not isinstance(self.judgement, NotYet) or not isinstance(self.command, Command):
            return ()
        return tuple(sorted({*self.judgement.blocked_on, *self.command.targets}))

    @property
    def name(self) -> str | None:
        """Wire name of the command, as far as it is known."""
        if isinstance(self.command, Command):
            return self.command.name
        return self.row.command if self.row else None


def _read(row: LedgerRow) -> Command | InvalidMessage:
    try:
        return row.read()
    except InvalidMessage as error:
        return error
