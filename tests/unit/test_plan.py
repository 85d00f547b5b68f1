"""Reading a plan from a graph of the documented shape: each rule with the graphs that keep and that break it."""

import pytest
from tests.graphs import N50, Json, Place, bare, chain_of, drawn, graph, node, told

from runworker.codes import Code
from runworker.errors import Rejected
from runworker.plan import SKIPPED_NODE_ID, Plan, PlanInvalid, find_problems, read_plan

Step = tuple[int, str, str]

PLAN_CODES = {code for code in Code if code.startswith("PLAN_")} - {Code.PLAN_INVALID}


def outline(plan: Plan) -> list[Step]:
    """Index, node and "CCP", "gate" or "" of each step."""
    marks = {(True, True): "CCP", (True, False): "gate", (False, False): ""}
    return [(step.index, step.node_id, marks[step.has_gate, step.is_ccp]) for step in plan.steps]


START, END = (0, "s", ""), (10, "e", "")
REFUSED: dict[str, tuple[Json, list[Place]]] = {
    "an empty object": ({}, [(Code.PLAN_EMPTY, "nodes")]),
    "no nodes": (graph([]), [(Code.PLAN_EMPTY, "nodes")]),
    "one id twice": (graph(drawn(node("s", index=1)), "s e"), [(Code.PLAN_DUPLICATE_NODE, "nodes[1]")]),
    "edge to nowhere": (graph(drawn(), "s e x"), [(Code.PLAN_DANGLING_EDGE, 'edge "e-1"')]),
    "edge from nowhere": (graph(drawn(), "x s e"), [(Code.PLAN_DANGLING_EDGE, 'edge "e-0"')]),
    "no start": (graph([node("a", index=0), node("e", "end", 1)], "a e"), [(Code.PLAN_NO_START, "nodes")]),
    "no start, no index": (graph([node("a"), node("e", "end")], "a e"), [(Code.PLAN_NO_START, "nodes")]),
    "no end": (graph([node("s", "start", 0), node("a", index=1)], "s a"), [(Code.PLAN_NO_END, "nodes")]),
    "two starts": (graph(drawn(node("t", "start", 1)), "s t e"), [(Code.PLAN_MANY_STARTS, 'node "t"')]),
    "two starts, no index": (graph(bare(node("t", "start")), "s t e"), [(Code.PLAN_MANY_STARTS, 'node "t"')]),
    "start is the first step, but not 0": (
        graph([node("s", "start", 1), node("a", index=2), node("e", "end")], "s a e"),
        [(Code.PLAN_START_NOT_FIRST, 'node "s"')],
    ),
    "start after another step": (
        graph([node("a", index=0), node("s", "start", 1), node("e", "end")], "a s e"),
        [(Code.PLAN_START_NOT_FIRST, 'node "s"')],
    ),
    "a step twice": (graph(drawn(node("a", index=1)), "s a a e"), [(Code.PLAN_CYCLE, 'node "a"')]),
    "a circle of groups apart": (graph(drawn(node("g", "group")), "s e", "g g"), [(Code.PLAN_CYCLE, 'node "g"')]),
    "a circle and no index": (
        graph(bare(), "s s"),
        [(Code.PLAN_CYCLE, 'node "s"'), (Code.PLAN_STEP_INDEX, "edges")],
    ),
    "a process without index": (graph(drawn(node("a")), "s a e"), [(Code.PLAN_STEP_INDEX, 'node "a"')]),
    "a start without index": (graph(bare(node("a", index=1)), "s a e"), [(Code.PLAN_STEP_INDEX, 'node "s"')]),
    "only a bad index": (
        graph([node("s", "start"), node("e", "end", "10")], "s e"),
        [(Code.PLAN_STEP_INDEX, 'node "e"'), (Code.PLAN_STEP_INDEX, 'node "s"')],
    ),
    "a chain of 12": (chain_of(12), [(Code.PLAN_STEP_INDEX, "edges")]),
    "a fork": (graph(bare(node("a"), node("b")), "s a e", "s b"), [(Code.PLAN_STEP_INDEX, "edges")]),
    "two ways in": (graph(bare(node("a")), "s e", "a e"), [(Code.PLAN_STEP_INDEX, "edges")]),
    "a group's edge into a chain": (graph(bare(node("o", "group")), "s e", "o e"), [(Code.PLAN_STEP_INDEX, "edges")]),
    "one edge twice": (graph(bare(), "s e", "s e"), [(Code.PLAN_STEP_INDEX, "edges")]),
    "one node apart": (graph(bare(node("a")), "s e"), [(Code.PLAN_STEP_INDEX, "edges")]),
    "two processes on one index": (
        graph(drawn(node("a", index=1), node("b", index=1)), "s a b e"),
        [(Code.PLAN_DUPLICATE_STEP, 'node "b"')],
    ),
    "a buffer and a gated process on one index": (
        graph(drawn(node("a", index=1), node("b", "buffer", 1), node("g", "qc_gate", 1)), "s a b g e"),
        [(Code.PLAN_DUPLICATE_STEP, 'node "b"')],
    ),
    "two gates alone on one index": (
        graph(drawn(node("g", "qc_gate", 1), node("h", "qc_gate", 1)), "s g h e"),
        [(Code.PLAN_DUPLICATE_STEP, 'node "h"')],
    ),
    "no edges": (graph(drawn()), [(Code.PLAN_UNREACHABLE_STEP, 'node "e"')]),
    "edges the other way": (graph(drawn(), "e s"), [(Code.PLAN_UNREACHABLE_STEP, 'node "e"')]),
    "a dead end beside the way": (
        graph(drawn(node("a", index=1)), "s a", "s e"),
        [(Code.PLAN_UNREACHABLE_STEP, 'node "e"')],
    ),
    "a way through an end": (graph(drawn(node("x", "end")), "s x e"), [(Code.PLAN_UNREACHABLE_STEP, 'node "e"')]),
    "a way in the wrong order": (
        graph(drawn(node("a", index=1), node("b", index=2)), "s b a e"),
        [
            (Code.PLAN_UNREACHABLE_STEP, 'node "a"'),
            (Code.PLAN_UNREACHABLE_STEP, 'node "b"'),
            (Code.PLAN_UNREACHABLE_STEP, 'node "e"'),
        ],
    ),
    "much at once": (
        graph([node("s", "start", 0), node("t", "start", 2), node("a", index=2), node("b", index=12)], "s t t", "a x"),
        [
            (Code.PLAN_STEP_INDEX, 'node "b"'),
            (Code.PLAN_DANGLING_EDGE, 'edge "e-2"'),
            (Code.PLAN_MANY_STARTS, 'node "t"'),
            (Code.PLAN_NO_END, "nodes"),
            (Code.PLAN_CYCLE, 'node "t"'),
            (Code.PLAN_DUPLICATE_STEP, 'node "a"'),
        ],
    ),
    "an end that cannot be read is not missing": (
        graph([node("s", "start", 0), node("e", "End"), node("a", index=1), None], "s e"),
        [(Code.PLAN_MALFORMED, 'node "e"'), (Code.PLAN_MALFORMED, "nodes[3]")],
    ),
    "an end without data is not missing": (
        graph([node("s", "start", 0), node("e", "end") | {"data": []}], "s e"),
        [(Code.PLAN_MALFORMED, 'node "e"')],
    ),
    "an end under an id already taken is not missing": (
        graph([node("s", "start", 0), node("s", "end")]),
        [(Code.PLAN_DUPLICATE_NODE, "nodes[1]")],
    ),
    "a start that cannot be read is not missing": (
        graph([node("s", "Start"), node("e", "end")], "s e"),
        [(Code.PLAN_MALFORMED, 'node "s"')],
    ),
    "a chain with a link that cannot be read is not broken": (
        graph(bare(), more_edges=["s-e"]),
        [(Code.PLAN_MALFORMED, "edges[0]")],
    ),
    "an edge to a node with a bad id is not dangling": (
        graph(drawn(node(N50 + "n")), f"s {N50}n e"),
        [(Code.PLAN_MALFORMED, "nodes[1]")],
    ),
}


@pytest.mark.parametrize(("raw", "problems"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_graphs_tell_every_problem_and_its_place(raw: Json, problems: list[Place]) -> None:
    assert told(raw) == problems
    with pytest.raises(PlanInvalid) as refusal:
        read_plan(raw)
    assert refusal.value.problems == find_problems(raw)


def test_every_code_has_a_refused_graph() -> None:
    refused = {code for _, problems in REFUSED.values() for code, _ in problems}
    assert refused == PLAN_CODES


def test_a_refusal_is_a_rejection_with_all_problems_as_facts() -> None:
    with pytest.raises(Rejected) as refusal:
        read_plan(graph([node("s", "start", 0)], "s x"))
    assert refusal.value.code is Code.PLAN_INVALID
    dangling = {
        "code": "PLAN_DANGLING_EDGE",
        "where": 'edge "e-0"',
        "message": 'The edge\'s target is "x", and no node has this id; draw the edge anew or remove it.',
    }
    no_end = {
        "code": "PLAN_NO_END",
        "where": "nodes",
        "message": "No node is of type end; draw one after the last step.",
    }
    assert refusal.value.facts == {"problems": [dangling, no_end]}
    assert refusal.value.message == (
        'The flow version\'s graph gives no valid plan: 2 problems, of which the first at edge "e-0": '
        + dangling["message"]
    )


def test_a_cycle_is_named_node_by_node() -> None:
    (cycle,) = find_problems(graph(drawn(node("a", index=1), node("b", index=2)), "s a b e", "b a"))
    assert cycle.code is Code.PLAN_CYCLE
    assert '"a" -> "b" -> "a"' in cycle.message or '"b" -> "a" -> "b"' in cycle.message


def test_the_longest_cycle_there_may_be_is_named_in_a_short_message() -> None:
    ids = [f"{position:050}" for position in range(498)]
    circle = " ".join([*ids, ids[0]])
    (cycle,) = find_problems(graph(drawn(*(node(node_id, "group") for node_id in ids)), "s e", circle))
    assert cycle.code is Code.PLAN_CYCLE
    assert cycle.message.count(" -> ") == 19
    assert "and 479 more" in cycle.message


ACCEPTED: dict[str, tuple[Json, list[Step]]] = {
    "start and end": (graph(drawn(), "s e"), [START, END]),
    "an end without index is no step": (
        graph([node("s", "start", 0), node("a", index=4), node("e", "end")], "s a e"),
        [START, (4, "a", "")],
    ),
    "only a start has an index": (graph([node("s", "start", 0), node("e", "end")], "s e"), [START]),
    "a gate after its step": (
        graph(drawn(node("a", index=1), node("g", "qc_gate", 1)), "s a g e"),
        [START, (1, "a", "gate"), END],
    ),
    "a gate before its step": (graph(drawn(node("g", "qc_gate", 10)), "s g e"), [START, (10, "e", "gate")]),
    "a gate that no edge touches": (graph(drawn(node("g", "qc_gate", 10)), "s e"), [START, (10, "e", "gate")]),
    "several gates, one of them critical": (
        graph(drawn(node("g", "qc_gate", 1), node("h", "qc_gate", 1, isCCP=True), node("a", index=1)), "s a g h e"),
        [START, (1, "a", "CCP"), END],
    ),
    "a critical step without a gate": (
        graph(drawn(node("a", index=1, isCCP=True)), "s a e"),
        [START, (1, "a", "CCP"), END],
    ),
    "a gate alone on its index": (graph(drawn(node("g", "qc_gate", 1)), "s g e"), [START, (1, "g", "gate"), END]),
    "gates, buffers and groups in between": (
        graph(drawn(node("g", "qc_gate"), node("b", "buffer"), node("o", "group")), "s g b o e"),
        [START, END],
    ),
    "a group is no step, whatever it says": (
        graph(drawn(node("o", "group", 10), node("p", "group", "x", isCCP=True)), "s e"),
        [START, END],
    ),
    "forks, short cuts and an edge twice": (
        graph(drawn(node("a", index=1), node("b", "buffer"), node("x", "end")), "s a e", "s b a x", "s e", "s a"),
        [START, (1, "a", ""), END],
    ),
    "a chain without index, a gate and a group on it": (
        graph(bare(node("g", "qc_gate"), node("o", "group"), node("a", isCCP=True)), "s g o a e"),
        [START, (1, "g", "gate"), (2, "a", "CCP"), (3, "e", "")],
    ),
    "a group beside a chain, its index counting for nothing": (
        graph(bare(node("o", "group", 3)), "s e"),
        [START, (1, "e", "")],
    ),
    "a chain of 11": (chain_of(11), [START, *((i, f"p{i}", "") for i in range(1, 10)), END]),
    "types in data alone, nulls for what may be absent": (
        graph(
            [
                {"id": "s", "data": {"nodeType": "start", "stepIndex": 0, "config": None, "label": None}},
                {"id": N50, "type": None, "data": {"nodeType": "process", "stepIndex": 1, "config": {"isCCP": None}}},
                {"id": "e", "type": "end", "data": None},
            ],
            f"s {N50} e",
        ),
        [START, (1, N50, "")],
    ),
    "cosmetics of any shape": (
        graph([item | {"position": [], "width": "wide"} for item in drawn()], "s e") | {"viewport": "all"},
        [START, END],
    ),
    "500 nodes": (graph(drawn(*(node(str(i), "group") for i in range(498))), "s e"), [START, END]),
    "2000 edges": (graph(drawn(), *["s e"] * 2000), [START, END]),
}


@pytest.mark.parametrize(("raw", "steps"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted_graphs_give_their_steps(raw: Json, steps: list[Step]) -> None:
    assert find_problems(raw) == ()
    assert outline(read_plan(raw)) == steps


@pytest.mark.parametrize(
    ("label", "read"),
    [
        ({"hu": "Keverés", "en": "Mixing", "note": 3}, {"hu": "Keverés", "en": "Mixing"}),
        ("Mixing", {"hu": "Mixing", "en": "Mixing"}),
        (None, {}),
        (["Mixing"], {}),
    ],
)
def test_labels_are_taken_as_far_as_they_can_be_read(label: Json, read: dict[str, str]) -> None:
    raw = graph(drawn(), "s e")
    raw["nodes"][0]["data"]["label"] = label
    assert read_plan(raw).steps[0].label == read


def test_a_plan_knows_its_order_and_what_it_leaves_out() -> None:
    plan = read_plan(graph(drawn(node("a", index=3), node("b", index=7)), "s a b e"))
    assert (plan.first, plan.last) == (0, 10)
    assert [plan.next_after(index) for index in (0, 1, 3, 7, 10)] == [3, 3, 7, 10, None]
    assert plan.skipped == (1, 2, 4, 5, 6, 8, 9)
    assert [step and step.node_id for step in map(plan.step, (7, 8))] == ["b", None]


def test_plans_are_values() -> None:
    one = read_plan(graph(drawn(node("a", index=3)), "s a e"))
    same = read_plan(graph(drawn(node("a", index=3)), "a e", "s a"))
    assert one == same
    assert hash(one) == hash(same)


def test_the_node_id_of_skipped_rows_fits_its_column() -> None:
    assert 0 < len(SKIPPED_NODE_ID) <= 50
