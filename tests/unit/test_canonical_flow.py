"""The canonical table and the flow that ships with the package say the same."""

import json
from collections import Counter
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest

from runworker.canonical import CANONICAL_STEPS, CanonicalStep
from runworker.plan import CANONICAL_INDICES, Plan, find_problems, read_plan
from runworker.states import LotType

LEGACY_LOT_TYPES = {LotType.SKW, LotType.FRZ, LotType.FG}


@pytest.fixture(scope="module")
def flow() -> dict[str, Any]:
    text = files("runworker").joinpath("data", "canonical_flow.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.fixture(scope="module")
def plan(flow: dict[str, Any]) -> Plan:
    return read_plan(flow["graph"])


def nodes_of(flow: dict[str, Any], node_type: str) -> list[dict[str, Any]]:
    return [node for node in flow["graph"]["nodes"] if node["type"] == node_type]


def test_the_table_has_every_index_once_and_in_order() -> None:
    assert [step.index for step in CANONICAL_STEPS] == list(CANONICAL_INDICES)


def test_every_lot_type_but_the_legacy_ones_is_made_at_one_step() -> None:
    made = Counter(lot_type for step in CANONICAL_STEPS for lot_type in step.lot_types)
    assert made == Counter(set(LotType) - LEGACY_LOT_TYPES)


def test_critical_limits_are_the_plants() -> None:
    limits = {step.name: (step.ccp_reading, step.ccp_limit) for step in CANONICAL_STEPS if step.is_ccp}
    assert limits == {
        "Receipt": ("surface", Decimal("4.0")),
        "Freezing": ("core", Decimal("-18.0")),
        "Shipment": ("ambient", Decimal("-18.0")),
    }


def test_a_critical_point_has_a_gate_and_a_reading() -> None:
    assert all(step.has_gate for step in CANONICAL_STEPS if step.is_ccp)
    assert all((step.ccp_reading is None) == (step.ccp_limit is None) for step in CANONICAL_STEPS)


def test_the_flow_is_a_plan_of_all_eleven_steps(flow: dict[str, Any], plan: Plan) -> None:
    assert find_problems(flow["graph"]) == ()
    assert [step.index for step in plan.steps] == list(CANONICAL_INDICES)
    assert plan.skipped == ()
    assert (plan.first, plan.last) == (0, 10)


@pytest.mark.parametrize("canonical", CANONICAL_STEPS, ids=lambda step: step.name)
def test_each_step_has_the_gate_and_critical_point_of_the_table(canonical: CanonicalStep, plan: Plan) -> None:
    step = plan.step(canonical.index)
    assert step is not None
    assert (step.has_gate, step.is_ccp) == (canonical.has_gate, canonical.is_ccp)
    assert step.label["en"] == canonical.name
    assert step.label["hu"]


def test_every_gate_of_the_table_is_a_node_that_the_edges_run_through(flow: dict[str, Any]) -> None:
    gates = nodes_of(flow, "qc_gate")
    assert [gate["data"]["stepIndex"] for gate in gates] == [step.index for step in CANONICAL_STEPS if step.has_gate]
    edges = flow["graph"]["edges"]
    for gate in gates:
        assert [edge["target"] for edge in edges].count(gate["id"]) == 1
        assert [edge["source"] for edge in edges].count(gate["id"]) == 1


def test_critical_points_are_marked_on_gates_and_steps_alike(flow: dict[str, Any]) -> None:
    critical = {step.index for step in CANONICAL_STEPS if step.is_ccp}
    for node in flow["graph"]["nodes"]:
        if node["type"] != "group":
            assert node["data"]["config"]["isCCP"] is (node["data"]["stepIndex"] in critical)


def test_the_flow_is_saved_as_react_flow_saves_it(flow: dict[str, Any]) -> None:
    assert set(flow) == {"name", "description", "graph"}
    assert set(flow["graph"]) == {"nodes", "edges", "viewport"}
    assert flow["graph"]["viewport"] == {"x": 0, "y": 0, "zoom": 1}
    for node in flow["graph"]["nodes"]:
        assert set(node["position"]) == {"x", "y"}
        assert node["data"]["nodeType"] == node["type"]
        assert set(node["data"]["label"]) == {"hu", "en"}
    assert all(set(edge) == {"id", "source", "target"} for edge in flow["graph"]["edges"])
    assert len({edge["id"] for edge in flow["graph"]["edges"]}) == len(flow["graph"]["edges"])


def test_names_are_bilingual(flow: dict[str, Any]) -> None:
    texts = [flow["name"], *(node["data"]["label"] for node in flow["graph"]["nodes"])]
    assert all(text["hu"] and text["en"] and text["hu"] != text["en"] for text in texts)


def test_ends_buffer_and_group_are_where_they_belong(flow: dict[str, Any]) -> None:
    assert [node["data"]["stepIndex"] for node in nodes_of(flow, "start")] == [0]
    assert [node["data"]["stepIndex"] for node in nodes_of(flow, "end")] == [10]
    (buffer,) = nodes_of(flow, "buffer")
    assert (buffer["data"]["stepIndex"], buffer["data"]["config"]["bufferType"]) == (3, LotType.BULK)
    (group,) = nodes_of(flow, "group")
    assert "stepIndex" not in group["data"]
