"""Questions to the edges of a graph. All walks are loops: a hostile graph must not exhaust the stack."""

from graphlib import CycleError, TopologicalSorter

from runworker.plan.graph import Graph, Node, NodeType
from runworker.plan.problems import quoted

_PASSABLE = {NodeType.QC_GATE, NodeType.BUFFER, NodeType.GROUP}
"""Types of nodes that may lie between a step and the next."""


def find_cycle(graph: Graph) -> list[str]:
    """Give the node ids of one directed cycle, the first one again as the last; empty where there is none."""
    try:
        TopologicalSorter(graph.predecessors).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def reaches(graph: Graph, source: str, target: str) -> bool:
    """Tell whether edges lead from source to target with nothing but gates, buffers and groups in between."""
    seen = {source}
    open_ends = [source]
    while open_ends:
        for successor in graph.successors[open_ends.pop()]:
            if successor == target:
                return True
            if successor not in seen and graph.nodes[successor].type in _PASSABLE:
                seen.add(successor)
                open_ends.append(successor)
    return False


def chain_from(graph: Graph, start: Node) -> list[Node] | str:
    """Follow the edges from the start node, when they form a single chain through every node.

    Groups may lie on the chain or beside it and are left out of the result.
    Gives a text that says where the edges fail to be a chain, when they are none.
    """
    chain = [start.id]
    seen = {start.id}
    while True:
        successors = graph.successors[chain[-1]]
        if len(successors) > 1:
            return f"node {quoted(chain[-1])} has {len(successors)} edges going out"
        if not successors:
            break
        if len(graph.predecessors[successors[0]]) > 1:
            incoming = len(graph.predecessors[successors[0]])
            return f"node {quoted(successors[0])} has {incoming} edges coming in"
        if successors[0] in seen:
            return f"the edges lead back to node {quoted(successors[0])}"
        chain.append(successors[0])
        seen.add(successors[0])
    for node in graph.nodes.values():
        if node.type is not NodeType.GROUP and node.id not in seen:
            return f"node {quoted(node.id)} is not on the way from the start node"
    return [node for node_id in chain if (node := graph.nodes[node_id]).type is not NodeType.GROUP]
