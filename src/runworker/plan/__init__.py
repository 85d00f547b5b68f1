"""The plan of a run: which steps it takes, read from the graph of its flow version.

React Flow saves graphs, and anybody may have written one: any JSON value is answered with a plan or with every
problem found, never with another error. Source: the domain reference, "Flow version graph". Where that leaves room,
these decisions hold:

- One explicit `data.stepIndex` on a node other than a group makes all indices explicit. Start and process nodes then
  need one; gates, buffers and ends without one are no steps, and a path may pass through such gates and buffers.
- With no index at all, every node on the chain but a group is a step, a gate too.
- A gate alone on its index is a step with a gate; several gates may guard one step.
- An optional field set to null counts as absent. Labels, positions and the viewport never make a plan invalid.
"""

from runworker.plan.problems import PlanInvalid, PlanProblem
from runworker.plan.reading import find_problems, read_plan
from runworker.plan.steps import CANONICAL_INDICES, SKIPPED_NODE_ID, Plan, StepPlan

__all__ = [
    "CANONICAL_INDICES",
    "SKIPPED_NODE_ID",
    "Plan",
    "PlanInvalid",
    "PlanProblem",
    "StepPlan",
    "find_problems",
    "read_plan",
]
