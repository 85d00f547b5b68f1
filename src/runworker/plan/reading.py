"""The rules that make a graph a plan."""

from collections import defaultdict
from itertools import pairwise

from runworker.codes import Code
from runworker.plan.graph import LAST_STEP, Graph, Node, NodeType, read_graph
from runworker.plan.paths import chain_from, find_cycle, reaches
from runworker.plan.problems import PlanInvalid, PlanProblem, listed, quoted
from runworker.plan.steps import Plan, StepPlan


def read_plan(graph: object) -> Plan:
    """Read the plan from a flow version's graph, any JSON value.

    Raises PlanInvalid with every problem found, and nothing else.
    """
    plan, problems = _examine(graph)
    if problems:
        raise PlanInvalid(problems)
    return plan


def find_problems(graph: object) -> tuple[PlanProblem, ...]:
    """List everything that keeps a graph, any JSON value, from being a plan; empty when it is one."""
    return _examine(graph)[1]


def _examine(raw: object) -> tuple[Plan, tuple[PlanProblem, ...]]:
    graph = read_graph(raw)
    steps: list[StepPlan] = []
    if graph.nodes:
        _check_ends(graph)
        _check_cycle(graph)
        steps = _steps(graph, _indices(graph))
        _check_paths(graph, steps)
    return Plan(tuple(steps)), tuple(graph.problems)


def _of_type(graph: Graph, node_type: NodeType) -> list[Node]:
    return [node for node in graph.nodes.values() if node.type is node_type]


def _check_ends(graph: Graph) -> None:
    """One start, at least one end. A node that could not be read may be the missing one, so nothing is said then."""
    starts = _of_type(graph, NodeType.START)
    if len(starts) > 1:
        ids = listed([node.id for node in starts])
        message = f"The graph has {len(starts)} start nodes ({ids}); a run begins at one, so keep one."
        graph.report(Code.PLAN_MANY_STARTS, starts[1].where, message)
    if len(starts) == 1 and starts[0].step_index:
        message = f"The start node has stepIndex {starts[0].step_index}; a run begins at step 0, so set it to 0."
        graph.report(Code.PLAN_START_NOT_FIRST, starts[0].where, message)
    if graph.complete and not starts:
        graph.report(Code.PLAN_NO_START, "nodes", "No node is of type start; draw one, with stepIndex 0.")
    if graph.complete and not _of_type(graph, NodeType.END):
        graph.report(Code.PLAN_NO_END, "nodes", "No node is of type end; draw one after the last step.")


def _check_cycle(graph: Graph) -> None:
    cycle = find_cycle(graph)
    if cycle:
        message = f"The edges run in a circle: {listed(cycle, ' -> ')}; a run only goes forward, so remove one of them."
        graph.report(Code.PLAN_CYCLE, f"node {quoted(cycle[0])}", message)


def _indices(graph: Graph) -> list[tuple[int, Node]]:
    """Give every node that belongs to a step, with its index."""
    if not any(node.claims_step for node in graph.nodes.values()):
        return _chain_indices(graph)
    for node in graph.nodes.values():
        if node.type in {NodeType.START, NodeType.PROCESS} and not node.claims_step:
            message = (
                f"This {node.type} node has no data.stepIndex while other nodes have one;"
                f" give it a whole number from 0 to {LAST_STEP}."
            )
            graph.report(Code.PLAN_STEP_INDEX, node.where, message)
    return [(node.step_index, node) for node in graph.nodes.values() if node.step_index is not None]


def _chain_indices(graph: Graph) -> list[tuple[int, Node]]:
    starts = _of_type(graph, NodeType.START)
    if len(starts) != 1 or not graph.complete:
        return []  # said before, and where the chain begins or leads is unknown
    chain = chain_from(graph, starts[0])
    if not isinstance(chain, str) and len(chain) > LAST_STEP + 1:
        chain = f"it has {len(chain)} nodes"
    if isinstance(chain, str):
        message = (
            "No node has a data.stepIndex, and the edges are no single chain from the start node that could stand for"
            f" it: {chain}. Give each step's node a data.stepIndex from 0 to {LAST_STEP}, or draw one chain of at"
            f" most {LAST_STEP + 1} nodes."
        )
        graph.report(Code.PLAN_STEP_INDEX, "edges", message)
        return []
    return list(enumerate(chain))


def _steps(graph: Graph, indices: list[tuple[int, Node]]) -> list[StepPlan]:
    """Tell steps from their gates: a gate is a step only where it stands alone on its index."""
    claims: dict[int, list[Node]] = defaultdict(list)
    for index, node in indices:
        claims[index].append(node)
    steps = []
    for index, nodes in sorted(claims.items()):
        claimants = [node for node in nodes if node.type is not NodeType.QC_GATE] or nodes
        if len(claimants) > 1:
            ids = listed([node.id for node in claimants])
            gates = claimants[0].type is NodeType.QC_GATE
            remedy = "draw the step that these gates guard" if gates else "give each its own index"
            message = f"{len(claimants)} nodes claim step {index} ({ids}); keep one, or {remedy}."
            graph.report(Code.PLAN_DUPLICATE_STEP, claimants[1].where, message)
        is_ccp = any(node.is_ccp for node in nodes)
        has_gate = is_ccp or any(node.type is NodeType.QC_GATE for node in nodes)
        steps.append(StepPlan(index, claimants[0].id, claimants[0].label, has_gate, is_ccp))
    return steps


def _check_paths(graph: Graph, steps: list[StepPlan]) -> None:
    """Every step follows from the one before it. Left out while it is open which node is which step."""
    open_codes = {Code.PLAN_STEP_INDEX, Code.PLAN_DUPLICATE_STEP}
    if not graph.complete or any(problem.code in open_codes for problem in graph.problems):
        return
    for before, step in pairwise(steps):
        if not reaches(graph, before.node_id, step.node_id):
            message = (
                f"Step {step.index} cannot be reached from step {before.index} (node {quoted(before.node_id)}); join"
                " them by edges, with nothing but qc_gate, buffer and group nodes in between."
            )
            graph.report(Code.PLAN_UNREACHABLE_STEP, f"node {quoted(step.node_id)}", message)
