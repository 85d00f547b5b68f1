"""What the day's script says of lots: what each is made of, which states it goes through and where it ends.

It is written down beside the commands, by the plant's rules and not by the engine's code, so that the one can be held
against the other.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from runworker.commands import Command
from runworker.demo.script import Flow, Life, Scripted, commands_of
from runworker.states import Decision, FlowVersionStatus, LotStatus, LotType, UserRole

NOTHING = Decimal(0)
CLOSED = frozenset({LotStatus.FINISHED, LotStatus.REJECTED})

Link = tuple[UUID, UUID, Decimal]
"""Ids of parent and child, and kilograms."""


@dataclass(slots=True)
class ScriptedLot:
    """A lot as it has to be found, kept up to date while the script is written. Weights in kilograms.

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
    def left_kg(self) -> Decimal:
        """What no other lot has taken."""
        return self.weight_kg - self.taken_kg

    @property
    def change_kg(self) -> Decimal:
        """By how much it is heavier than all that went into it, below zero where lighter; zero for a RAW lot."""
        return self.weight_kg - sum((kg for _, kg in self.parents), NOTHING) if self.parents else NOTHING

    def becomes(self, status: LotStatus, *keys: UUID) -> None:
        """Note that one of these commands brings it into a state."""
        self.trail.append((status, frozenset(keys)))


@dataclass(frozen=True, slots=True)
class ScriptedDecision:
    """A quality decision as it has to be found; its id is the command's key. too_warm: whether a limit overrules it."""

    key: UUID
    lot_id: UUID
    decision: Decision
    operator_id: UUID
    notes: str | None
    temperature_c: Decimal | None
    too_warm: bool


@dataclass(frozen=True, slots=True)
class Cast:
    """Who and what takes part in the day: people by role, suppliers' ids by material, flows by name.

    successor: the version that supersedes the one of `rods of 30` in the course of the day. series: names this
    performance; all ids derive from it.
    """

    people: Mapping[UserRole, UUID]
    suppliers: Mapping[str, UUID]
    flows: Mapping[str, Flow]
    successor: Flow
    series: UUID


@dataclass(frozen=True)
class Day:
    """A day's script.

    others: commands about no run. versions: what becomes of each flow version, and by which commands it gets there.
    recalled: id of the RAW lot that is recalled in the end.
    """

    lives: tuple[Life, ...]
    others: tuple[Scripted, ...]
    lots: Mapping[UUID, ScriptedLot]
    decisions: Mapping[UUID, ScriptedDecision]
    versions: Mapping[UUID, FlowVersionStatus]
    version_trails: Mapping[UUID, list[tuple[FlowVersionStatus, UUID]]]
    recalled: UUID

    @property
    def commands(self) -> list[Command]:
        """All commands of the day."""
        return [*commands_of(self.lives), *(scripted.command for scripted in self.others)]

    @property
    def links(self) -> Counter[Link]:
        """All genealogy, each link as often as it is written."""
        return Counter((parent, lot.id, kg) for lot in self.lots.values() for parent, kg in lot.parents)

    @property
    def containing(self) -> set[UUID]:
        """The recalled lot and every lot with material of it."""
        found: set[UUID] = set()
        ahead = [self.recalled]
        while ahead:
            lot_id = ahead.pop()
            if lot_id not in found:
                found.add(lot_id)
                ahead += self.lots[lot_id].children
        return found
