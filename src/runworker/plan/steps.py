"""The plan as the rest of runworker uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from runworker.plan.graph import LAST_STEP

CANONICAL_INDICES: Final = range(LAST_STEP + 1)
"""Every step index a run has a row for."""

SKIPPED_NODE_ID: Final = "skipped"
"""`run_step_executions.node_id` of an index that the graph leaves out, where no node can be named."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step that a run takes.

    index: 0 to 10. node_id: 1 to 50 characters.
    label: texts by language, as far as the graph has any.
    has_gate: lots at this step pass quality control (a qc_gate at its index, or a critical control point).
    is_ccp: the step, or a gate of it, is marked as a critical control point.
    """

    index: int
    node_id: str
    label: Mapping[str, str] = field(hash=False)
    has_gate: bool
    is_ccp: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps a run takes, in ascending order; the first is step 0."""

    steps: tuple[StepPlan, ...]

    @property
    def first(self) -> int:
        """Index of the first step."""
        return self.steps[0].index

    @property
    def last(self) -> int:
        """Index of the last step, from which a run is completed."""
        return self.steps[-1].index

    @property
    def skipped(self) -> tuple[int, ...]:
        """Canonical indices that the graph leaves out, ascending. Their rows carry SKIPPED_NODE_ID."""
        planned = {step.index for step in self.steps}
        return tuple(index for index in CANONICAL_INDICES if index not in planned)

    def next_after(self, index: int) -> int | None:
        """Give the index of the first planned step after `index`, or None at the end."""
        return next((step.index for step in self.steps if step.index > index), None)

    def step(self, index: int) -> StepPlan | None:
        """Give the step with this index, or None where the plan has none."""
        return next((step for step in self.steps if step.index == index), None)
