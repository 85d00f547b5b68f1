"""From untrusted JSON to nodes and edges: readable entries are kept, the others are reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from runworker.codes import Code
from runworker.plan.problems import PlanProblem, described, described_field, quoted
from runworker.safe_text import is_storable

MAX_NODES: Final = 500
MAX_EDGES: Final = 2000
"""Far above any drawing of eleven steps; a larger graph is refused unread, so that it cannot stall a worker."""

MAX_NODE_ID: Final = 50
"""Characters of `run_step_executions.node_id`."""

LAST_STEP: Final = 10


class NodeType(StrEnum):
    """The meaning of a node of the drawing."""

    START = "start"
    PROCESS = "process"
    QC_GATE = "qc_gate"
    BUFFER = "buffer"
    GROUP = "group"  # a drawing aid, never a step
    END = "end"


_TYPE_NAMES: Final = frozenset(node_type.value for node_type in NodeType)


@dataclass(frozen=True, slots=True)
class Node:
    """A node whose id and type could be read.

    step_index: 0 to 10, or None where there is none or it could not be read.
    claims_step: the node carries a stepIndex, readable or not; never true of a group.
    """

    id: str
    type: NodeType
    step_index: int | None
    claims_step: bool
    is_ccp: bool
    label: Mapping[str, str]

    @property
    def where(self) -> str:
        """The node's place, as problems name it."""
        return f"node {quoted(self.id)}"


@dataclass(slots=True)
class Graph:
    """The readable part of a graph.

    nodes: by id, in saved order. successors, predecessors: node ids by node id, one for each edge between known nodes.
    complete: every entry of nodes and edges was read, so that a node that is missing is really missing.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    successors: dict[str, list[str]] = field(default_factory=dict)
    predecessors: dict[str, list[str]] = field(default_factory=dict)
    complete: bool = True
    problems: list[PlanProblem] = field(default_factory=list)

    def report(self, code: Code, where: str, message: str) -> None:
        """Note one problem."""
        self.problems.append(PlanProblem(code, where, message))

    def unreadable(self, where: str, message: str) -> None:
        """Note an entry that had to be left out."""
        self.complete = False
        self.report(Code.PLAN_MALFORMED, where, message)


def read_graph(raw: object) -> Graph:
    """Read any JSON value as a graph. Never raises; `problems` tells every fault."""
    graph = Graph()
    if not isinstance(raw, dict):
        graph.unreadable("graph", f'Expected an object {{"nodes": [...], "edges": [...]}}, not {described(raw)}.')
        return graph
    nodes = _entries(graph, raw, "nodes", MAX_NODES)
    # An empty drawing need not say that it has no edges either.
    edges = _entries(graph, raw, "edges", MAX_EDGES) if nodes or "edges" in raw else []
    if nodes is None or edges is None:
        return graph
    if not nodes:
        graph.report(Code.PLAN_EMPTY, "nodes", "The graph has no nodes; draw at least a start and an end node.")
    positions: dict[str, int] = {}
    for position, entry in enumerate(nodes):
        _read_node(graph, positions, position, entry)
    graph.successors = {node_id: [] for node_id in positions}
    graph.predecessors = {node_id: [] for node_id in positions}
    for position, entry in enumerate(edges):
        _read_edge(graph, position, entry)
    return graph


def _entries(graph: Graph, raw: dict[str, Any], key: str, limit: int) -> list[object] | None:
    if key == "nodes" and key not in raw:
        return []
    entries = raw.get(key)
    if not isinstance(entries, list):
        found = described(entries) if key in raw else "nothing"
        graph.unreadable(key, f"Expected a list of {key}, not {found}.")
        return None
    if len(entries) > limit:
        graph.unreadable(key, f"{len(entries)} {key} are more than the {limit} a graph may have; remove some.")
        return None
    return entries


def _read_node(graph: Graph, positions: dict[str, int], position: int, entry: object) -> None:
    where = f"nodes[{position}]"
    if not isinstance(entry, dict):
        graph.unreadable(where, f"Expected a node object, not {described(entry)}.")
        return
    node_id = _node_id(graph, positions, position, entry.get("id"))
    if node_id is not None:
        where = f"node {quoted(node_id)}"
    data = _optional_object(graph, where, "data", entry.get("data"))
    if data is None:
        graph.complete = False
        return
    node_type = _node_type(graph, where, entry.get("type"), data.get("nodeType"))
    is_ccp = _is_ccp(graph, where, data.get("config"))
    if node_type is None:
        return
    raw_index = None if node_type is NodeType.GROUP else data.get("stepIndex")
    step_index = None if raw_index is None else _step_index(graph, where, raw_index)
    if node_id is not None:
        label = _label(data.get("label"))
        graph.nodes[node_id] = Node(node_id, node_type, step_index, raw_index is not None, is_ccp, label)


def _node_id(graph: Graph, positions: dict[str, int], position: int, raw: object) -> str | None:
    where = f"nodes[{position}]"
    # Noted before it is judged: an edge to a node whose id will not do is not dangling as well.
    first = positions.setdefault(raw, position) if isinstance(raw, str) else position
    if not isinstance(raw, str) or not 0 < len(raw) <= MAX_NODE_ID or not is_storable(raw):
        expected = f"a text of 1 to {MAX_NODE_ID} characters without NUL or lone surrogates"
        graph.unreadable(where, f"The node's id is {described_field(raw)}; expected {expected}.")
        return None
    if first != position:
        message = f"The id {quoted(raw)} already belongs to nodes[{first}]; give each node its own."
        graph.complete = False
        graph.report(Code.PLAN_DUPLICATE_NODE, where, message)
        return None
    return raw


def _node_type(graph: Graph, where: str, raw: object, node_type: object) -> NodeType | None:
    """Read the type; some React Flow saves have it in `data.nodeType` alone."""
    names = [name for name in (raw, node_type) if name is not None]
    known = [name for name in names if isinstance(name, str) and name in _TYPE_NAMES]
    if not names or len(known) < len(names):
        found = " and ".join(described(name) for name in names) or "missing"
        graph.unreadable(where, f"The node's type is {found}; expected one of {', '.join(NodeType)}.")
        return None
    if known[0] != known[-1]:
        message = f"type says {known[0]} and data.nodeType says {known[-1]}; make them agree."
        graph.unreadable(where, message)
        return None
    return NodeType(known[0])


def _step_index(graph: Graph, where: str, raw: object) -> int | None:
    # By exact type: JSON true is an int to Python, and 3.0 is not an index but a measurement.
    if type(raw) is int and 0 <= raw <= LAST_STEP:
        return raw
    message = f"data.stepIndex is {described(raw)}; expected a whole number from 0 to {LAST_STEP}."
    graph.report(Code.PLAN_STEP_INDEX, where, message)
    return None


def _is_ccp(graph: Graph, where: str, raw: object) -> bool:
    """Read config.isCCP. Anything but true or false is refused: a critical control point is not guessed at."""
    config = _optional_object(graph, where, "data.config", raw)
    if not config:
        return False
    is_ccp = config.get("isCCP")
    if is_ccp is None or isinstance(is_ccp, bool):
        return bool(is_ccp)
    message = f"data.config.isCCP is {described(is_ccp)}; expected true or false."
    graph.report(Code.PLAN_MALFORMED, where, message)
    return False


def _optional_object(graph: Graph, where: str, name: str, raw: object) -> dict[str, Any] | None:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        graph.report(Code.PLAN_MALFORMED, where, f"{name} is {described(raw)}; expected an object.")
        return None
    return raw


def _label(raw: object) -> dict[str, str]:
    """Read the texts by language; a plain text, as React Flow's own nodes have it, stands for both languages."""
    if isinstance(raw, str):
        return {"hu": raw, "en": raw}
    if not isinstance(raw, dict):
        return {}
    return {language: text for language, text in raw.items() if isinstance(language, str) and isinstance(text, str)}


def _read_edge(graph: Graph, position: int, entry: object) -> None:
    where = f"edges[{position}]"
    if not isinstance(entry, dict):
        graph.unreadable(where, f"Expected an edge object, not {described(entry)}.")
        return
    edge_id = entry.get("id")
    if isinstance(edge_id, str) and edge_id:
        where = f"edge {quoted(edge_id)}"
    else:
        graph.report(Code.PLAN_MALFORMED, where, f"The edge's id is {described_field(edge_id)}; expected a text.")
    ends: list[str] = []
    for name in ("source", "target"):
        end = entry.get(name)
        if not isinstance(end, str):
            graph.unreadable(where, f"The edge's {name} is {described_field(end)}; expected a node's id.")
        elif end not in graph.successors:
            message = f"The edge's {name} is {quoted(end)}, and no node has this id; draw the edge anew or remove it."
            graph.report(Code.PLAN_DANGLING_EDGE, where, message)
        else:
            ends.append(end)
    if len(ends) == 2:  # noqa: PLR2004 - an edge has two ends
        graph.successors[ends[0]].append(ends[1])
        graph.predecessors[ends[1]].append(ends[0])
