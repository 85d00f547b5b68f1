"""What the small plant consists of: people, versions, runs and lots, as plain objects that rules change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

SHOP_FLOOR = "ADMIN MANAGER OPERATOR"


class Refused(Exception):
    """A rule says no; the text is its code."""


class Sunk(Exception):
    """Nobody but the database says no, at the end, to the whole batch; the text is the code that it comes to."""


class Early(Exception):
    """Not its turn. told: what it waits for, as the sender reads it; waits_for: the ids."""

    def __init__(self, told: Mapping[str, Any], waits_for: set[UUID]) -> None:
        super().__init__(told)
        self.told = told
        self.waits_for = waits_for


@dataclass
class Version:
    """A flow version. plan: its steps, empty where the graph gives none; gates: those with quality control."""

    flow: UUID
    status: str
    plan: tuple[int, ...] = ()
    gates: frozenset[int] = frozenset()
    changed_by: list[UUID] = field(default_factory=list)


@dataclass
class Run:
    """A run: its steps' states by index, and the keys of the commands that changed it, in order."""

    version: UUID
    site: str
    steps: dict[int, str]
    status: str = "RUNNING"
    step: int = 0
    changed_by: list[UUID] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.status in ("COMPLETED", "ABORTED", "ARCHIVED")

    @property
    def planned(self) -> list[int]:
        return [index for index, status in self.steps.items() if status != "SKIPPED"]


@dataclass
class Lot:
    """A lot. code: None where the caller gave none; holds: the SKUs of what went into it, as they were then.

    Lots of an older system have neither type, step nor run.
    """

    kg: Decimal
    type: str | None = None
    step: int | None = None
    run: UUID | None = None
    status: str = "QUARANTINE"
    code: str | None = None
    sku: str | None = None
    warmth: Decimal | None = None
    left: Decimal = Decimal(0)
    holds: set[str | None] = field(default_factory=set)
    children: set[UUID] = field(default_factory=set)
    changed_by: list[UUID] = field(default_factory=list)

    def becomes(self, status: str, key: UUID) -> None:
        self.status = status
        self.changed_by.append(key)


@dataclass
class World:
    """users: role by id. kept_days: how long a finished run is kept; decisions: of quality control, by key."""

    users: Mapping[UUID, str]
    kept_days: int = 30
    versions: dict[UUID, Version] = field(default_factory=dict)
    runs: dict[UUID, Run] = field(default_factory=dict)
    lots: dict[UUID, Lot] = field(default_factory=dict)
    links: list[tuple[UUID, UUID, Decimal]] = field(default_factory=list)
    decisions: dict[UUID, tuple[Any, ...]] = field(default_factory=dict)

    def copy(self) -> "World":
        """The same world, to come back to."""
        return replace(
            self,
            versions={id_: replace(each, changed_by=[*each.changed_by]) for id_, each in self.versions.items()},
            runs={
                id_: replace(each, steps={**each.steps}, changed_by=[*each.changed_by])
                for id_, each in self.runs.items()
            },
            lots={
                id_: replace(each, holds={*each.holds}, children={*each.children}, changed_by=[*each.changed_by])
                for id_, each in self.lots.items()
            },
            links=[*self.links],
            decisions={**self.decisions},
        )

    def lots_of(self, run: UUID) -> dict[UUID, Lot]:
        return {id_: lot for id_, lot in self.lots.items() if lot.run == run}


@dataclass
class Done:
    """What a command did. touched: ids that it was about; told: what its verdict says of them."""

    touched: set[UUID]
    told: Mapping[str, Any]


def refuse_if(condition: bool, code: str) -> None:
    if condition:
        raise Refused(code)


def present(run_id: UUID, world: World) -> Run:
    """The run; whoever comes before it waits."""
    if run_id not in world.runs:
        raise Early({"run_id": str(run_id)}, {run_id})
    return world.runs[run_id]


def wait_until_at(run: Run, step: int, run_id: UUID) -> None:
    if run.step != step:
        raise Early({"run_id": str(run_id), "current_step_index": step}, {run_id})
