"""Reading a plan: what holds for any JSON, and for any thinned drawing of the canonical steps."""

import json
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runworker.canonical import CANONICAL_STEPS
from runworker.codes import Code
from runworker.plan import PlanInvalid, find_problems, read_plan

Json = Any
Step = tuple[int, str, bool, bool]
Drawing = tuple[dict[str, Json], list[Step]]

bounded = settings(max_examples=100, deadline=None, print_blob=True)

texts = st.text(max_size=8) | st.sampled_from(["a", "b", "start", "process", "qc_gate", "end", "\0", "\ud800"])
scalars = st.none() | st.booleans() | st.integers() | st.just(10**4000) | st.floats() | texts
keys = texts | st.sampled_from(
    ["nodes", "edges", "id", "type", "data", "nodeType", "stepIndex", "config", "isCCP", "source", "target", "label"]
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=6), max_leaves=8
)
near_nodes = st.fixed_dictionaries(
    {"id": st.sampled_from("abcde") | anything},
    optional={
        "type": st.sampled_from(["start", "process", "qc_gate", "buffer", "group", "end"]) | anything,
        "data": st.dictionaries(keys, st.integers(-1, 11) | anything, max_size=5) | anything,
    },
)
near_edges = st.fixed_dictionaries(
    {"id": texts, "source": st.sampled_from("abcdef") | anything, "target": st.sampled_from("abcdef") | anything}
)
near_graphs = st.fixed_dictionaries(
    {"nodes": st.lists(near_nodes | anything, max_size=6), "edges": st.lists(near_edges | anything, max_size=8)}
)

canonical_text = files("runworker").joinpath("data", "canonical_flow.json").read_text(encoding="utf-8")


@st.composite
def spoiled_graphs(draw: st.DrawFn) -> Json:
    """The canonical flow's graph with one value, anywhere in it, replaced by any other or taken out."""
    spot: Json = json.loads(canonical_text)["graph"]
    whole = {"graph": spot}
    inside: Json = whole
    key: Json = "graph"
    while isinstance(spot, dict | list) and spot and (inside is whole or draw(st.integers(0, 4))):
        inside, key = spot, draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        spot = inside[key]
    if inside is not whole and draw(st.booleans()):
        del inside[key]
    else:
        inside[key] = draw(anything)
    return whole["graph"]


def node(node_id: str, node_type: str, index: int | None, is_ccp: bool) -> dict[str, Json]:
    data = {"label": {"hu": node_id, "en": node_id}, "config": {"isCCP": is_ccp}, "stepIndex": index}
    return {"id": node_id, "type": node_type, "position": {"x": 0, "y": 0}, "data": data}


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """Some of the canonical steps, start included, with whatever may lie between; in any order. And what it means."""
    indices = sorted({0} | draw(st.sets(st.sampled_from(range(1, len(CANONICAL_STEPS))))))
    ends_in_a_step = len(indices) > 1 and draw(st.booleans())
    path: list[dict[str, Json]] = []
    steps: list[Step] = []
    for index in indices:
        kind = draw(st.sampled_from(["process", "buffer", "qc_gate"]))
        if index == 0:
            kind = "start"
        elif ends_in_a_step and index == indices[-1]:
            kind = "end"
        is_ccp = draw(st.booleans())
        has_gate = kind == "qc_gate"
        path.append(node(f"step-{index}", kind, index, is_ccp))
        for between in draw(st.lists(st.sampled_from(["qc_gate", "buffer", "group"]), max_size=3)):
            between_is_ccp = draw(st.booleans())
            # A gate of its own step, unless that step is a gate itself: two gates alone are no step.
            guards = between == "qc_gate" and kind != "qc_gate" and draw(st.booleans())
            belongs_to = index if guards or between == "group" else None
            path.append(node(f"between-{len(path)}", between, belongs_to, between_is_ccp))
            has_gate |= guards
            is_ccp |= guards and between_is_ccp
        steps.append((index, f"step-{index}", has_gate or is_ccp, is_ccp))
    if not ends_in_a_step:
        path.append(node("terminator", "end", None, False))
    ids = [item["id"] for item in path]
    edges = [{"id": f"to-{b}", "source": a, "target": b} for a, b in pairwise(ids)]
    return {"nodes": draw(st.permutations(path)), "edges": draw(st.permutations(edges))}, steps


@bounded
@given(anything | near_graphs | spoiled_graphs())
def test_any_json_gives_a_plan_or_coded_problems(raw: Json) -> None:
    problems = find_problems(raw)
    if not problems:
        assert read_plan(raw).first == 0
        return
    with pytest.raises(PlanInvalid) as refusal:
        read_plan(raw)
    assert refusal.value.problems == problems
    for problem in problems:
        assert problem.code.startswith("PLAN_")
        for text in problem.as_dict().values():
            assert "\0" not in text  # PostgreSQL stores no NUL,
            text.encode()  # and no lone surrogate, which this refuses
            assert len(text) < 500


@bounded
@given(drawings())
def test_a_thinned_drawing_in_any_order_gives_its_steps(drawing: Drawing) -> None:
    raw, steps = drawing
    plan = read_plan(raw)
    indices = [index for index, *_ in steps]
    assert [(step.index, step.node_id, step.has_gate, step.is_ccp) for step in plan.steps] == steps
    assert (plan.first, plan.last) == (0, indices[-1])
    assert [plan.next_after(index) for index in indices] == [*indices[1:], None]
    assert sorted([*plan.skipped, *indices]) == [step.index for step in CANONICAL_STEPS]
    assert read_plan(json.loads(json.dumps(raw))) == plan


@bounded
@given(drawings(), st.data())
def test_a_drawing_cut_at_an_edge_names_the_first_step_behind_the_cut(drawing: Drawing, data: st.DataObject) -> None:
    raw, steps = drawing
    cut = data.draw(st.sampled_from(raw["edges"]))
    raw["edges"].remove(cut)
    following = {edge["source"]: edge["target"] for edge in raw["edges"]}
    reached, at = {"step-0"}, "step-0"
    while at in following:
        at = following[at]
        reached.add(at)
    behind = [node_id for _, node_id, *_ in steps if node_id not in reached]
    assert [(problem.code, problem.where) for problem in find_problems(raw)] == [
        (Code.PLAN_UNREACHABLE_STEP, f'node "{node_id}"') for node_id in behind[:1]
    ]
