"""What a handler sees and gives back: small frozen objects, as loaded from the database.

A handler never changes a fact. It returns the entity as it shall be, and the engine writes the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from runworker.errors import Rejected
from runworker.plan import Plan
from runworker.states import FlowVersionStatus, RunStatus, StepExecutionStatus, UserRole


@dataclass(frozen=True, slots=True)
class Step:
    """One row of run_step_executions."""

    step_index: int
    node_id: str
    status: StepExecutionStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    operator_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One row of production_runs with its steps in ascending order. run_code is None until the engine gives one."""

    id: UUID
    status: RunStatus
    flow_version_id: UUID | None
    current_step_index: int
    started_at: datetime
    run_code: str | None = None
    site_code: str | None = None
    scenario_id: UUID | None = None
    operator_id: UUID | None = None
    started_by: UUID | None = None
    daily_target_kg: Decimal | None = None
    completed_at: datetime | None = None
    ended_at: datetime | None = None
    idempotency_key: UUID | None = None
    status_reason: str | None = None
    steps: tuple[Step, ...] = ()

    @property
    def planned(self) -> tuple[int, ...]:
        """Indices of the steps that the plan has, ascending. Meaningful while the run is not aborted."""
        return tuple(step.step_index for step in self.steps if step.status is not StepExecutionStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class Version:
    """A flow version: its state, and its plan or the rejection that reading the graph ended in."""

    id: UUID
    status: FlowVersionStatus
    version_num: int
    plan: Plan | Rejected


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a batch's handlers may know. now: when the batch began, UTC, by the database's clock."""

    now: datetime
    default_site_code: str
    users: Mapping[UUID, UserRole]
    versions: Mapping[UUID, Version]
    runs: Mapping[UUID, Run]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run as the command leaves it, and what the verdict says besides the run's own state."""

    run: Run
    state: Mapping[str, Any] = field(default_factory=dict)
