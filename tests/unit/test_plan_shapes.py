"""Graphs that have not the documented shape, whatever they may mean: refused with the place, and nothing breaks."""

import pytest
from tests.graphs import N50, Json, drawn, graph, node, told

from runworker.codes import Code

BAD_GRAPHS: dict[str, tuple[Json, str]] = {
    "null": (None, "graph"),
    "a list": ([], "graph"),
    "a text": ("{}", "graph"),
    "NaN": (float("nan"), "graph"),
    "a Python object": (object(), "graph"),
    "nodes by id": ({"nodes": {}, "edges": []}, "nodes"),
    "nodes null": ({"nodes": None, "edges": []}, "nodes"),
    "no edges": ({"nodes": drawn()}, "edges"),
    "edges a text": ({"nodes": drawn(), "edges": "s-e"}, "edges"),
    "501 nodes": (graph([node(str(i), "group") for i in range(501)]), "nodes"),
    "2001 edges": (graph(drawn(), " ".join(["s"] + ["e"] * 2001)), "edges"),
}
BAD_NODES: dict[str, tuple[Json, str]] = {
    "null": (None, "nodes[1]"),
    "a list": ([], "nodes[1]"),
    "no id": ({"type": "group"}, "nodes[1]"),
    "id unhashable": (node(["x"]), "nodes[1]"),
    "id a number": (node(1), "nodes[1]"),
    "id empty": (node(""), "nodes[1]"),
    "id too long for its column": (node(N50 + "n"), "nodes[1]"),
    "id with NUL": (node("a\0"), "nodes[1]"),
    "id with a lone surrogate": (node("\ud800"), "nodes[1]"),
    "type unknown": (node("x", "subflow"), 'node "x"'),
    "type in capitals": (node("x", "QC_GATE"), 'node "x"'),
    "type unhashable": (node("x", {}), 'node "x"'),
    "type nowhere": ({"id": "x", "data": {}}, 'node "x"'),
    "types disagree": (node("x", "group") | {"type": "buffer"}, 'node "x"'),
    "data.nodeType no text": ({"id": "x", "type": "group", "data": {"nodeType": 3}}, 'node "x"'),
    "data a list": ({"id": "x", "type": "group", "data": []}, 'node "x"'),
    "config a text": ({"id": "x", "type": "group", "data": {"config": "CCP"}}, 'node "x"'),
    "isCCP a text": (node("x", "qc_gate", 0, isCCP="true"), 'node "x"'),
    "isCCP a number": (node("x", "qc_gate", 0, isCCP=1), 'node "x"'),
}
BAD_EDGES: dict[str, tuple[Json, str]] = {
    "a pair": (["s", "e"], "edges[1]"),
    "no id": ({"source": "s", "target": "e"}, "edges[1]"),
    "id empty": ({"id": "", "source": "s", "target": "e"}, "edges[1]"),
    "no target": ({"id": "x", "source": "s"}, 'edge "x"'),
    "source unhashable": ({"id": "x", "source": {}, "target": "e"}, 'edge "x"'),
}


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        *(pytest.param(raw, where, id=f"graph {name}") for name, (raw, where) in BAD_GRAPHS.items()),
        *(pytest.param(graph(drawn(x), "s e"), where, id=f"node {name}") for name, (x, where) in BAD_NODES.items()),
        *(
            pytest.param(graph(drawn(), "s e", more_edges=[x]), where, id=f"edge {name}")
            for name, (x, where) in BAD_EDGES.items()
        ),
    ],
)
def test_what_has_not_the_documented_shape_is_malformed_and_nothing_else(raw: Json, where: str) -> None:
    assert told(raw) == [(Code.PLAN_MALFORMED, where)]


@pytest.mark.parametrize("node_type", ["process", "qc_gate", "buffer", "end"])
@pytest.mark.parametrize(
    "index", [-1, 11, 10**5000, 1.0, float("nan"), True, "1", [1], {}], ids=lambda value: str(type(value).__name__)
)
def test_only_whole_numbers_from_0_to_10_are_step_indices(index: Json, node_type: str) -> None:
    assert told(graph(drawn(node("x", node_type, index)), "s x e")) == [(Code.PLAN_STEP_INDEX, 'node "x"')]


def test_a_hundred_thousand_levels_do_not_exhaust_the_stack() -> None:
    deep: Json = []
    for _ in range(100_000):
        deep = [deep]
    try:
        nodes = drawn(node(deep), node("x", deep), node("y", index=deep), node("z", index=1, isCCP=deep), deep)
        nodes[0]["data"]["label"] = nodes[0]["position"] = deep
        assert told(graph(nodes, more_edges=[deep, {"id": deep, "source": deep, "target": "s"}])) == [
            (Code.PLAN_MALFORMED, "nodes[1]"),
            (Code.PLAN_MALFORMED, 'node "x"'),
            (Code.PLAN_STEP_INDEX, 'node "y"'),
            (Code.PLAN_MALFORMED, 'node "z"'),
            (Code.PLAN_MALFORMED, "nodes[5]"),
            (Code.PLAN_MALFORMED, "edges[0]"),
            (Code.PLAN_MALFORMED, "edges[1]"),
            (Code.PLAN_MALFORMED, "edges[1]"),
        ]
        assert told(deep) == [(Code.PLAN_MALFORMED, "graph")]
    finally:
        del nodes
        while deep:  # level by level, so that freeing it needs no deep stack either
            deep = deep[0]
