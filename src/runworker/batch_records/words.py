"""What the plant's states and steps mean, for a reader who has never seen the system."""

from collections.abc import Mapping
from typing import Final

from runworker.canonical import CANONICAL_STEPS
from runworker.states import CommandStatus, Decision, LotStatus, LotType, RunStatus, StepExecutionStatus

RUN_STATES: Final[Mapping[RunStatus, str]] = {
    RunStatus.IDLE: "Created and not started.",
    RunStatus.RUNNING: "In production; one step is in progress.",
    RunStatus.HOLD: "Paused by a person who gave a reason. Nothing moves until somebody resumes it.",
    RunStatus.COMPLETED: "Went through all its planned steps. Nothing of it may change any more.",
    RunStatus.ABORTED: "Ended early by a person who gave a reason. Steps that were not finished count as skipped.",
    RunStatus.ARCHIVED: "Finished, and put away after the retention time. Final.",
}
STEP_STATES: Final[Mapping[StepExecutionStatus, str]] = {
    StepExecutionStatus.PENDING: "Planned and not reached yet.",
    StepExecutionStatus.IN_PROGRESS: "The step the run is at.",
    StepExecutionStatus.COMPLETED: "Done.",
    StepExecutionStatus.SKIPPED: "Not part of this flow, or not reached before the run was aborted.",
}
LOT_STATES: Final[Mapping[LotStatus, str]] = {
    LotStatus.CREATED: "Entered, not registered by the plant yet.",
    LotStatus.QUARANTINE: "Registered; waits for quality control and may not be used.",
    LotStatus.RELEASED: "Passed quality control; may be used.",
    LotStatus.HOLD: "Stopped by quality control, or by a temperature over its limit. A manager releases or rejects it.",
    LotStatus.REJECTED: "Failed quality control. Final; nothing more may be made of it.",
    LotStatus.CONSUMED: "Used up by the lots made of it.",
    LotStatus.FINISHED: "Closed: everything made of it is finished or rejected. Final.",
}
DECISIONS: Final[Mapping[Decision, str]] = {
    Decision.PASS: "The lot is good.",
    Decision.HOLD: "The lot is stopped; notes say why.",
    Decision.FAIL: "The lot is rejected; notes say why.",
}
VERDICTS: Final[Mapping[CommandStatus, str]] = {
    CommandStatus.APPLIED: "Took effect.",
    CommandStatus.REJECTED: "A rule said no and nothing changed. The rule is named.",
    CommandStatus.EXPIRED: "What it waited for did not come in time; nothing changed.",
    CommandStatus.WAITING: "Came before its turn and waits.",
    CommandStatus.QUEUED: "Handed in, not judged yet.",
}
LOT_TYPES: Final[Mapping[LotType, str]] = {
    LotType.RAW: "raw material",
    LotType.DEB: "deboned meat",
    LotType.BULK: "bulk buffer",
    LotType.MIX: "mixed batch",
    LotType.SKW15: "skewer, 15 rod",
    LotType.SKW30: "skewer, 30 rod",
    LotType.FRZ15: "frozen skewer, 15 rod",
    LotType.FRZ30: "frozen skewer, 30 rod",
    LotType.FG15: "finished goods, 15 rod",
    LotType.FG30: "finished goods, 30 rod",
    LotType.PAL: "pallet",
    LotType.SHIP: "shipment",
    LotType.SKW: "skewer (legacy type)",
    LotType.FRZ: "frozen skewer (legacy type)",
    LotType.FG: "finished goods (legacy type)",
}
SYMBOLS: Final[Mapping[str, str]] = {
    "QUARANTINE": "?", "CREATED": "?", "WAITING": "?", "QUEUED": "?", "PENDING": "○", "IDLE": "○",
    "RELEASED": "✓", "APPLIED": "✓", "PASS": "✓", "COMPLETED": "✓", "FINISHED": "✓", "CONSUMED": "→",
    "RUNNING": "▶", "IN_PROGRESS": "▶", "HOLD": "‖", "REJECTED": "✕", "FAIL": "✕", "ABORTED": "✕", "EXPIRED": "✕",
    "SKIPPED": "·", "ARCHIVED": "✓",
}  # fmt: skip
"""A sign beside a state's name, so that nobody depends on its color."""

TONES: Final[Mapping[str, str]] = {
    "HOLD": "held", "REJECTED": "bad", "FAIL": "bad", "ABORTED": "bad", "EXPIRED": "bad",
    "QUARANTINE": "open", "CREATED": "open", "WAITING": "open", "QUEUED": "open", "RUNNING": "open",
    "IN_PROGRESS": "open", "PENDING": "dull", "SKIPPED": "dull", "IDLE": "dull",
}  # fmt: skip
"""Which colors a state has; "good" where none stands here."""


def step_name(index: int | None, labels: Mapping[int, Mapping[str, str]] | None = None) -> str:
    """A step's number and name: as the flow has it, else as the plant does."""
    if index is None:
        return "no step"
    texts = (labels or {}).get(index, {})
    return f"{index} {texts.get('en') or next(iter(texts.values()), '') or CANONICAL_STEPS[index].name}"
