"""Commands about production runs. Rules: the domain reference, "Production run"."""

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from runworker.commands.base import MANAGEMENT, QUALITY, SHOP_FLOOR, Command, Kilograms, Reason, StepIndex
from runworker.states import UserRole


class StartRun(Command):
    """Create a run, or take an IDLE one, pinned to a PUBLISHED flow version, and begin its step 0."""

    name = "start_run"
    roles = SHOP_FLOOR

    flow_version_id: UUID
    run_id: UUID | None = None
    site_code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{4}$")] | None = None
    scenario_id: UUID | None = None
    operator_id: UUID | None = None
    daily_target_kg: Kilograms | None = None

    @property
    def target_run(self) -> UUID:
        """The given id, else the key, so that a sender knows the run before the worker does."""
        return self.run_id or self.idempotency_key


class AdvanceStep(Command):
    """Finish the current step and begin the next planned one."""

    name = "advance_step"
    roles = SHOP_FLOOR

    run_id: UUID
    to_step_index: StepIndex
    operator_id: UUID | None = None


class HoldRun(Command):
    """Pause a RUNNING run."""

    name = "hold_run"
    roles = QUALITY

    run_id: UUID
    reason: Reason


class ResumeRun(Command):
    """Go on with a run that is on HOLD."""

    name = "resume_run"
    roles = MANAGEMENT

    run_id: UUID
    resolution: Reason


class CompleteRun(Command):
    """Finish a run that has reached its last planned step."""

    name = "complete_run"
    roles = SHOP_FLOOR

    run_id: UUID


class AbortRun(Command):
    """End an unfinished run early; steps not finished become SKIPPED."""

    name = "abort_run"
    roles = MANAGEMENT

    run_id: UUID
    reason: Reason


class RollbackStep(Command):
    """Go back to an earlier planned step, while no live lot belongs to a later one."""

    name = "rollback_step"
    roles = MANAGEMENT

    run_id: UUID
    to_step_index: StepIndex
    reason: Reason


class ArchiveRun(Command):
    """Put a finished run away once its retention has passed."""

    name = "archive_run"
    roles = frozenset({UserRole.ADMIN})

    run_id: UUID


class AdoptRun(Command):
    """Pin an older system's run that is under way, and give it its steps and the one at which the plant stands."""

    name = "adopt_run"
    roles = MANAGEMENT

    run_id: UUID
    flow_version_id: UUID
    step_index: StepIndex
    reason: Reason


RUN_COMMANDS: tuple[type[Command], ...] = (
    StartRun,
    AdvanceStep,
    RollbackStep,
    HoldRun,
    ResumeRun,
    CompleteRun,
    AbortRun,
    ArchiveRun,
    AdoptRun,
)
