"""Commands and what each of them has to come to: what a demo sends, and therefore has to find."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Final
from uuid import UUID

from runworker.codes import Code
from runworker.commands import Command
from runworker.plan import Plan
from runworker.states import CommandStatus, FlowVersionStatus, LotStatus, RunStatus

SITE: Final = "DEMO"
"""A site of its own: the numbers of the plant's real sites stay without gaps."""

SOURCE: Final = "runworker demo"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a command has to come to.

    run_status, step_index, lot_status, version_status: of the run, lot or flow version that it is about, right after
    it; None where it leaves that alone. code: of the rule that has to refuse it.
    """

    status: CommandStatus
    run_status: RunStatus | None = None
    step_index: int | None = None
    code: Code | None = None
    lot_status: LotStatus | None = None
    version_status: FlowVersionStatus | None = None

    @property
    def in_verdict(self) -> Mapping[str, Any]:
        """The same as the verdict says it."""
        said = {
            "status": self.status,
            "code": self.code,
            "run_status": self.run_status,
            "current_step_index": self.step_index,
            "lot_status": self.lot_status,
            "flow_version_status": self.version_status,
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Scripted:
    """A command and what it has to come to."""

    command: Command
    expected: Expected

    @property
    def key(self) -> UUID:
        """The command's idempotency key."""
        return self.command.idempotency_key

    @property
    def applies(self) -> bool:
        """Whether the command takes effect."""
        return self.expected.status is CommandStatus.APPLIED

    @property
    def moves_run(self) -> bool:
        """Whether the command changes its run."""
        return self.applies and self.expected.run_status is not None

    @property
    def moves_steps(self) -> bool:
        """Whether the command changes step rows: all that change their run do, but a hold and its resume."""
        return self.moves_run and self.command.name not in ("hold_run", "resume_run")


@dataclass(frozen=True, slots=True)
class Flow:
    """The flow version that a run follows, and its plan."""

    version_id: UUID
    plan: Plan


@dataclass(frozen=True, slots=True)
class Life:
    """All commands of one run, those that change it in the order in which they do."""

    run_id: UUID
    flow: Flow
    script: tuple[Scripted, ...]

    @property
    def moves(self) -> tuple[Scripted, ...]:
        """The commands that change the run, in order."""
        return tuple(scripted for scripted in self.script if scripted.moves_run)

    @property
    def end(self) -> Expected:
        """Where the run has to be in the end."""
        return self.moves[-1].expected


@dataclass(frozen=True)
class Claim:
    """What was done, and therefore has to be found.

    versions: what has become of the flow versions that runs follow. copies: how often each command was sent. kills:
    how many workers were killed while messages were on their way. others: commands that are about no run.
    """

    lives: Sequence[Life]
    versions: Mapping[UUID, FlowVersionStatus]
    copies: Mapping[UUID, int]
    kills: int
    others: Sequence[Scripted] = ()

    @cached_property
    def scripted(self) -> dict[UUID, Scripted]:
        """Every command by key."""
        return {each.key: each for each in chain(*(life.script for life in self.lives), self.others)}


def commands_of(lives: Iterable[Life]) -> list[Command]:
    """All commands of all lives."""
    return [scripted.command for life in lives for scripted in life.script]
