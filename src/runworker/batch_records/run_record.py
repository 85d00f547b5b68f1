"""The contents of a batch record, as plain objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from runworker.states import CommandStatus, Decision, RunStatus, StepExecutionStatus
from runworker.tracing import Genealogy, MassBalance
from runworker.upkeep.seal import Verification


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who issues commands."""

    name: str
    email: str
    role: str


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """The flow version that the run is pinned to. name: by language. labels: by step index, then by language."""

    version_id: UUID
    name: Mapping[str, str]
    version_num: int
    status: str
    published_at: datetime | None
    published_by: UUID | None
    labels: Mapping[int, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of the run."""

    step_index: int
    status: StepExecutionStatus
    started_at: datetime | None
    completed_at: datetime | None
    operator_id: UUID | None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One quality decision. limit_c: what the critical control point of the lot's step allows, where it is one."""

    lot_code: str
    step_index: int | None
    decision: Decision
    decided_at: datetime
    operator_id: UUID | None
    temperature_c: Decimal | None
    limit_c: Decimal | None
    gate: str | None
    notes: str | None
    signature: str | None

    @property
    def is_too_warm(self) -> bool:
        """Whether the temperature was above the limit, which puts a lot on HOLD whatever was decided."""
        return self.limit_c is not None and self.temperature_c is not None and self.temperature_c > self.limit_c


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """A state left for another, as the audit trail has it. actor: None where it was done by hand, by db_user."""

    event_id: int
    subject: str
    at: datetime
    before: str | None
    after: str | None
    reason: str | None
    actor: UUID | None
    command: str | None
    db_user: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A run or a lot that was stopped. end: the change that ended it, if it has ended."""

    begin: AuditedChange
    end: AuditedChange | None


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One command and its verdict. Where the ledger has forgotten it, the audit trail tells that it took effect.

    about: codes of the lots, or the run, that it was about. fields: what it asked. remembered: the ledger has it.
    """

    key: UUID
    command: str
    status: CommandStatus
    at: datetime
    issued_by: UUID | None
    about: str
    fields: Mapping[str, Any]
    code: str | None
    message: str | None
    remembered: bool


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """Events of the audit trail about this run. counts: by what it is about and by operation.

    sealed: how many are under a seal. archives: files that may have events of this run which are not here any more.
    verification: what recomputing all seals came to that are not archived, where that was asked for.
    """

    counts: Mapping[tuple[str, str], int]
    first_id: int | None
    last_id: int | None
    sealed: int
    last_seal: str | None
    last_sealed_at: datetime | None
    archives: tuple[str, ...]
    verification: Verification | None

    @property
    def total(self) -> int:
        """All events of the run."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The whole record of a run. own_lots: ids of its lots; the genealogy has the lots next to them as well.

    adoption: the change that took the run over from an older system, if one did. stops: rejections, roll-backs and an
    abort. by_hand: changes that no command asked for.
    """

    id: UUID
    code: str
    status: RunStatus
    status_reason: str | None
    started_at: datetime
    completed_at: datetime | None
    ended_at: datetime | None
    started_by: UUID | None
    operator_id: UUID | None
    daily_target_kg: Decimal | None
    flow: FlowFacts | None
    steps: tuple[StepRecord, ...]
    genealogy: Genealogy
    own_lots: tuple[UUID, ...]
    decisions: tuple[DecisionRecord, ...]
    adoption: AuditedChange | None
    holds: tuple[Hold, ...]
    stops: tuple[AuditedChange, ...]
    by_hand: tuple[AuditedChange, ...]
    commands: tuple[CommandLine, ...]
    balance: MassBalance
    audit: AuditSummary
    people: Mapping[UUID, Person]
    made_at: datetime
