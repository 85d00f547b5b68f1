"""Graphs of flow versions, as React Flow saves them, drawn in a line or two."""

from typing import Any

from runworker.codes import Code
from runworker.plan import find_problems

Json = Any
Place = tuple[Code, str]

N50 = "n" * 50
"""The longest id that a node may have."""


def node(node_id: Json, node_type: Json = "process", index: Json = None, **config: Json) -> dict[str, Json]:
    data: dict[str, Json] = {"label": {"hu": "x", "en": "x"}, "nodeType": node_type, "config": config}
    if index is not None:
        data["stepIndex"] = index
    return {"id": node_id, "type": node_type, "position": {"x": 0, "y": 0}, "data": data}


def graph(nodes: Json, *chains: str, more_edges: Json = ()) -> dict[str, Json]:
    """A graph with edges along each chain of ids: "a b c" gives e-0 from a to b and e-1 from b to c."""
    pairs = [pair for chain in chains for pair in zip(chain.split(), chain.split()[1:], strict=False)]
    edges = [{"id": f"e-{position}", "source": a, "target": b} for position, (a, b) in enumerate(pairs)]
    return {"nodes": nodes, "edges": [*edges, *more_edges], "viewport": {"x": 0, "y": 0, "zoom": 1}}


def drawn(*between: Json) -> list[Json]:
    """A start at 0, what is given, an end at 10."""
    return [node("s", "start", 0), *between, node("e", "end", 10)]


def bare(*between: Json) -> list[Json]:
    """The same with no index on start and end."""
    return [node("s", "start"), *between, node("e", "end")]


def chain_of(length: int) -> dict[str, Json]:
    """One chain with no index on it: s, p1, p2 ... e."""
    between = [f"p{position}" for position in range(1, length - 1)]
    return graph(bare(*(node(node_id) for node_id in between)), " ".join(["s", *between, "e"]))


def told(raw: Json) -> list[Place]:
    return [(problem.code, problem.where) for problem in find_problems(raw)]
