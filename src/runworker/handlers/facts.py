"""What a handler sees and gives back: small immutable objects, as loaded from the database.

A handler never changes a fact. It returns the entities as they shall be, and the engine writes the difference. Runs and
steps are named tuples: eleven steps come with every run of a batch, and a frozen dataclass takes three times as long.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from runworker.errors import Rejected
from runworker.plan import Plan
from runworker.states import Decision, FlowVersionStatus, LotStatus, LotType, RunStatus, StepExecutionStatus, UserRole

_RUN_CODE: Final = re.compile(r"^RUN-\d{8}-([A-Z]{4})-\d{4,}$")


class StepFact(NamedTuple):
    """One row of run_step_executions."""

    step_index: int
    node_id: str
    status: StepExecutionStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    operator_id: UUID | None = None


class RunFact(NamedTuple):
    """One row of production_runs with its steps in ascending order. run_code is None until the engine gives one."""

    id: UUID
    status: RunStatus
    flow_version_id: UUID | None
    current_step_index: int
    started_at: datetime
    run_code: str | None = None
    scenario_id: UUID | None = None
    operator_id: UUID | None = None
    started_by: UUID | None = None
    daily_target_kg: Decimal | None = None
    completed_at: datetime | None = None
    ended_at: datetime | None = None
    idempotency_key: UUID | None = None
    status_reason: str | None = None
    new_at_site: str | None = None
    steps: tuple[StepFact, ...] = ()

    @property
    def planned(self) -> tuple[int, ...]:
        """Indices of the steps that the plan has, ascending. Meaningful while the run is not aborted."""
        return tuple([step.step_index for step in self.steps if step.status is not StepExecutionStatus.SKIPPED])

    @property
    def site_code(self) -> str | None:
        """The plant site, as the run's code has it; None where a legacy code has none."""
        found = _RUN_CODE.match(self.run_code) if self.run_code else None
        return found[1] if found else self.new_at_site


@dataclass(frozen=True, slots=True)
class LotFact:
    """One row of lots, and what has been taken from it. lot_code is None until the engine gives one.

    taken_kg: what its children took, in kilograms. children: their ids, as far as the command at hand needs them.
    """

    id: UUID
    lot_code: str | None
    lot_type: LotType | None
    status: LotStatus
    run_id: UUID | None
    step_index: int | None
    weight_kg: Decimal | None
    temperature_c: Decimal | None = None
    sku_type: str | None = None
    supplier_id: UUID | None = None
    operator_id: UUID | None = None
    status_reason: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    new_at_site: str | None = None
    taken_kg: Decimal = Decimal(0)
    children: frozenset[UUID] = frozenset()

    @property
    def left_kg(self) -> Decimal:
        """What can still be taken, in kilograms; nothing of a legacy lot that was never weighed."""
        return (self.weight_kg or Decimal(0)) - self.taken_kg


@dataclass(frozen=True, slots=True)
class LinkFact:
    """Material that went from a parent lot into a child lot. child_run_id: the run that the child belongs to."""

    parent_id: UUID
    child_id: UUID
    quantity_used_kg: Decimal
    child_run_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class QcFact:
    """One row of qc_decisions; its id is the command's key."""

    id: UUID
    lot_id: UUID
    qc_gate_id: UUID | None
    operator_id: UUID
    decision: Decision
    notes: str | None
    temperature_c: Decimal | None
    digital_signature: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class VersionFact:
    """A flow version: its state, and its plan or the rejection that reading the graph ended in."""

    id: UUID
    flow_definition_id: UUID
    status: FlowVersionStatus
    version_num: int
    plan: Plan | Rejected
    reviewed_by: UUID | None = None
    published_by: UUID | None = None
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the plant may configure: the site of runs that name none, and how long finished runs are kept at hand."""

    default_site_code: str
    retention: timedelta


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a batch's handlers may know. now: when the batch began, UTC, by the database's clock.

    plans: of the versions that runs are pinned to, where a command needs them. lots_of_run: ids of the lots of a run,
    for commands that look at all of them. unfinished_runs: how many are pinned to a version, where a command asks.
    """

    now: datetime
    rules: Rules
    users: Mapping[UUID, UserRole]
    versions: Mapping[UUID, VersionFact]
    plans: Mapping[UUID, Plan | Rejected]
    runs: Mapping[UUID, RunFact]
    lots: Mapping[UUID, LotFact]
    lots_of_run: Mapping[UUID, Collection[UUID]]
    unfinished_runs: Mapping[UUID, int]

    def lots_of(self, run_id: UUID) -> list[LotFact]:
        """The run's lots that were loaded."""
        return [self.lots[lot_id] for lot_id in self.lots_of_run.get(run_id, ())]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Entities as a command leaves them, new ones included, and what the verdict says besides."""

    run: RunFact | None = None
    lots: tuple[LotFact, ...] = ()
    links: tuple[LinkFact, ...] = ()
    qc_record: QcFact | None = None
    versions: tuple[VersionFact, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changed_ids(self) -> set[UUID]:
        """Ids of everything that the command touched."""
        ids = {lot.id for lot in self.lots} | {version.id for version in self.versions}
        return ids | {self.run.id} if self.run else ids
