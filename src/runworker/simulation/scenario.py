"""A scenario as data: commands with their order, and what has to come of each, of every run and of every lot.

It says nothing of how its commands are delivered (`delivery`). It is written by the plant's rules and not by the
engine's code (`builder`), so that the one can be held against the other (`proof`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import chain
from typing import Any, Final
from uuid import UUID

from runworker.codes import Code
from runworker.commands import Command
from runworker.plan import Plan
from runworker.states import CommandStatus, Decision, FlowVersionStatus, LotStatus, LotType, RunStatus

SITE: Final = "DEMO"
"""A site of its own: the numbers of the plant's real sites stay without gaps."""

SOURCE: Final = "runworker demo"

NOTHING: Final = Decimal("0.00")

PlannedLink = tuple[UUID, UUID, Decimal]
"""Ids of parent and child, and kilograms."""


@dataclass(frozen=True, slots=True)
class ExpectedVerdict:
    """The verdict that a command has to get.

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
    def as_dict(self) -> Mapping[str, Any]:
        """The members that the verdict has to have."""
        members = {
            "status": self.status,
            "code": self.code,
            "run_status": self.run_status,
            "current_step_index": self.step_index,
            "lot_status": self.lot_status,
            "flow_version_status": self.version_status,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class PlannedCommand:
    """A command, whose `after` says which others come before it, and the verdict that it has to get."""

    command: Command
    expected: ExpectedVerdict

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
class VersionPlan:
    """The flow version that a run follows, and its plan."""

    version_id: UUID
    plan: Plan


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """All commands of one run and its lots, those that change the run in the order in which they do."""

    run_id: UUID
    flow: VersionPlan
    commands: tuple[PlannedCommand, ...]

    @property
    def moves(self) -> tuple[PlannedCommand, ...]:
        """The commands that change the run, in order."""
        return tuple(planned for planned in self.commands if planned.moves_run)

    @property
    def end(self) -> ExpectedVerdict:
        """Where the run has to be in the end."""
        return self.moves[-1].expected


@dataclass(slots=True)
class PlannedLot:
    """A lot as it has to be found, kept up to date while the scenario is built. Weights in kilograms.

    trail: every state in order, with the commands of which one has to have brought it about: where several take from a
    lot, the one that happens to come last uses it up. gained_kg: what the verdict on its registration has to report;
    None for a RAW lot. follows: key of the command after which the lot's next one is tied in.
    """

    id: UUID
    lot_type: LotType
    run_id: UUID
    step_index: int
    weight_kg: Decimal
    sku_type: str | None
    supplier_id: UUID | None
    temperature_c: Decimal | None
    follows: UUID
    gained_kg: Decimal | None = None
    trail: list[tuple[LotStatus, frozenset[UUID]]] = field(default_factory=list)
    parents: list[tuple[UUID, Decimal]] = field(default_factory=list)
    children: list[UUID] = field(default_factory=list)
    takers: list[UUID] = field(default_factory=list)
    taken_kg: Decimal = NOTHING

    @property
    def status(self) -> LotStatus:
        """The state it is in."""
        return self.trail[-1][0]

    @property
    def registered_by(self) -> UUID:
        """Key of its registration."""
        [key] = self.trail[0][1]
        return key

    @property
    def left_kg(self) -> Decimal:
        """Kilograms that no other lot has taken."""
        return self.weight_kg - self.taken_kg

    @property
    def change_kg(self) -> Decimal:
        """By how much it is heavier than all that went into it, below zero where lighter; zero for a RAW lot."""
        return self.weight_kg - sum((kg for _, kg in self.parents), NOTHING) if self.parents else NOTHING

    def becomes(self, status: LotStatus, *keys: UUID) -> None:
        """Note that one of these commands brings it into a state."""
        self.trail.append((status, frozenset(keys)))


@dataclass(frozen=True, slots=True)
class PlannedDecision:
    """A quality decision as it has to be found; its id is the command's key. too_warm: whether a limit overrules it."""

    key: UUID
    lot_id: UUID
    decision: Decision
    operator_id: UUID
    notes: str | None
    temperature_c: Decimal | None
    too_warm: bool


@dataclass(frozen=True)
class BuiltScenario:
    """All that is sent, in no order but that of each command's `after`, and all that has to be found.

    others: commands about no run. versions: what becomes of the flow versions that runs follow; version_trails: of
    those that move, by which commands. recalled: id of the lot whose recall has to find what contains it, if any.
    """

    runs: tuple[PlannedRun, ...]
    versions: Mapping[UUID, FlowVersionStatus]
    others: tuple[PlannedCommand, ...] = ()
    lots: Mapping[UUID, PlannedLot] = field(default_factory=dict)
    decisions: Mapping[UUID, PlannedDecision] = field(default_factory=dict)
    version_trails: Mapping[UUID, list[tuple[FlowVersionStatus, UUID]]] = field(default_factory=dict)
    recalled: UUID | None = None

    @cached_property
    def planned(self) -> dict[UUID, PlannedCommand]:
        """Every command by key."""
        return {each.key: each for each in chain(*(run.commands for run in self.runs), self.others)}

    @property
    def commands(self) -> list[Command]:
        """All commands, as they are sent."""
        return [planned.command for planned in self.planned.values()]

    @property
    def links(self) -> Counter[PlannedLink]:
        """All genealogy, each link as often as it is written."""
        return Counter((parent, lot.id, kg) for lot in self.lots.values() for parent, kg in lot.parents)

    @property
    def containing(self) -> set[UUID]:
        """The recalled lot and every lot with material of it."""
        found: set[UUID] = set()
        ahead = [self.recalled] if self.recalled else []
        while ahead:
            lot_id = ahead.pop()
            if lot_id not in found:
                found.add(lot_id)
                ahead += self.lots[lot_id].children
        return found
