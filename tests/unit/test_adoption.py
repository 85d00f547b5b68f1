"""Use cases of taking over a plant: what a run and a lot of an older system are given, and what they are not."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from tests.plant import REASON
from tests.unit import lots, runs

from runworker.codes import Code
from runworker.errors import NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, LotFact, VersionFact
from runworker.plan import SKIPPED_NODE_ID, PlanInvalid, read_plan
from runworker.states import FlowVersionStatus

LEGACY = runs.run("RUNNING", legacy=True)
BEGUN = LEGACY.started_at


def facts_of_run(*found: LotFact, **changed: Any) -> Facts:
    """A legacy run, and lots of it."""
    of_run = {"lots": {each.id: each for each in found}, "lots_of_run": {runs.RUN: [each.id for each in found]}}
    return runs.facts(LEGACY, **(of_run | changed))


def old(status: str = "QUARANTINE", **fields: Any) -> LotFact:
    """A lot without type, step and run."""
    return lots.lot(status, None, None, **({"run_id": None, "lot_code": "OLD-1"} | fields))


def adopted(known: Facts, **fields: Any) -> LotFact:
    (lot,) = handle(lots.command("adopt_lot", **fields), known).lots
    return lot


def refused(known: Facts, **fields: Any) -> Rejected:
    with pytest.raises(Rejected) as refusal:
        handle(lots.command("adopt_lot", **fields), known)
    return refusal.value


def test_an_adopted_run_has_its_plan_and_stands_where_it_stood() -> None:
    result = handle(runs.command("adopt_run", step_index=3), facts_of_run())

    run = result.run
    assert run is not None
    assert run == LEGACY._replace(
        flow_version_id=runs.VERSION, current_step_index=3, status_reason=REASON, steps=run.steps
    )
    assert [(step.step_index, step.node_id, step.status, step.started_at, step.completed_at) for step in run.steps] == [
        (0, "node-0", "COMPLETED", BEGUN, BEGUN),
        (1, "node-1", "COMPLETED", BEGUN, BEGUN),
        (2, SKIPPED_NODE_ID, "SKIPPED", None, None),
        (3, "node-3", "IN_PROGRESS", BEGUN, None),
        *((index, SKIPPED_NODE_ID, "SKIPPED", None, None) for index in range(4, 10)),
        (10, "node-10", "PENDING", None, None),
    ]
    assert {step.operator_id for step in run.steps} == {None}
    assert result.state == {"version_num": 3}


@pytest.mark.parametrize(("step", "expected"), [(0, "RUNNING 0"), (10, "RUNNING 10"), (2, Code.STEP_NOT_PLANNED)])
def test_a_run_is_adopted_at_a_step_of_its_plan(step: int, expected: str) -> None:
    assert runs.outcome(runs.command("adopt_run", step_index=step), facts_of_run()) == expected


@pytest.mark.parametrize(
    ("status", "code"),
    [(None, Code.UNKNOWN_FLOW_VERSION), *((status, Code.FLOW_VERSION_NOT_PUBLISHED) for status in
     (FlowVersionStatus.DRAFT, FlowVersionStatus.REVIEW, FlowVersionStatus.DEPRECATED))],
)  # fmt: skip
def test_a_run_is_adopted_with_a_published_version(status: FlowVersionStatus | None, code: Code) -> None:
    versions = {runs.VERSION: VersionFact(runs.VERSION, runs.FLOW, status, 1, runs.PLAN)} if status else {}
    assert runs.outcome(runs.command("adopt_run"), facts_of_run(versions=versions)) == code


def test_a_run_is_adopted_with_a_valid_plan() -> None:
    with pytest.raises(PlanInvalid) as invalid:
        read_plan({"nodes": [], "edges": []})
    versions = {runs.VERSION: VersionFact(runs.VERSION, runs.FLOW, FlowVersionStatus.PUBLISHED, 1, invalid.value)}
    assert runs.outcome(runs.command("adopt_run"), facts_of_run(versions=versions)) == Code.PLAN_INVALID


def test_a_run_that_has_steps_has_been_begun() -> None:
    known = runs.facts(runs.run("RUNNING", 1)._replace(flow_version_id=None))
    assert runs.outcome(runs.command("adopt_run"), known) == Code.RUN_PIN_IMMUTABLE


@pytest.mark.parametrize(
    ("status", "step", "expected"),
    [
        ("QUARANTINE", 3, Code.LIVE_LOTS_AHEAD),
        ("FINISHED", 10, Code.LIVE_LOTS_AHEAD),
        ("REJECTED", 3, "RUNNING 1"),
        ("HOLD", 1, "RUNNING 1"),
        ("HOLD", 0, "RUNNING 1"),
        ("QUARANTINE", None, "RUNNING 1"),
    ],
)
def test_no_lot_of_the_run_is_ahead_of_it(status: str, step: int | None, expected: str) -> None:
    known = facts_of_run(lots.lot(status, "RAW", step, run_id=runs.RUN))
    assert runs.outcome(runs.command("adopt_run"), known) == expected


def test_a_lot_is_given_what_it_lacks() -> None:
    known = lots.facts(lots.run(step=5), old())
    lot = adopted(known, lot_type="SKW15", run_id=lots.RUN, step_index=5)
    assert (lot.lot_type, lot.run_id, lot.step_index, lot.sku_type) == ("SKW15", lots.RUN, 5, "15")
    assert (lot.status, lot.weight_kg, lot.status_reason, lot.lot_code) == ("QUARANTINE", Decimal(100), REASON, "OLD-1")
    assert adopted(known, lot_type=None, step_index=7).lot_type is None


@pytest.mark.parametrize(
    ("has", "given"),
    [
        ({"lot_type": "MIX"}, {"lot_type": "MIX"}),
        ({"run_id": lots.RUN}, {"run_id": lots.OTHER_RUN}),
        ({"step_index": 4}, {"lot_type": "MIX", "step_index": 5}),
    ],
)
def test_each_is_given_once(has: dict[str, Any], given: dict[str, Any]) -> None:
    lot = old(**{name: value for name, value in has.items() if name == "run_id"})
    lot = lots.lot("RELEASED", has.get("lot_type"), has.get("step_index"), run_id=lot.run_id)
    (name,) = has
    refusal = refused(lots.facts(lots.run(step=10), lot), **({"lot_type": None} | given))
    assert refusal.code is Code.LOT_ALREADY_ADOPTED
    assert f"{name} {has[name]} already" in refusal.message


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("IDLE", "RUN_NOT_RUNNING"), ("COMPLETED", "RUN_NOT_RUNNING"), ("ABORTED", "RUN_NOT_RUNNING"),
        ("ARCHIVED", "RUN_NOT_RUNNING"), ("RUNNING", "RELEASED"), ("HOLD", "RELEASED"),
    ],
)  # fmt: skip
def test_a_lot_is_given_to_a_run_that_is_under_way(status: str, expected: str) -> None:
    assert (
        lots.said(lots.command("adopt_lot", run_id=lots.RUN), lots.facts(lots.run(status), old("RELEASED"))) == expected
    )


@pytest.mark.parametrize(("status", "expected"), [("COMPLETED", "HOLD"), ("ARCHIVED", "RUN_READ_ONLY")])
def test_a_lot_of_a_finished_run_is_given_its_type_until_that_is_archived(status: str, expected: str) -> None:
    known = lots.facts(lots.run(status), old("HOLD", run_id=lots.RUN))
    assert lots.said(lots.command("adopt_lot", step_index=1), known) == expected


@pytest.mark.parametrize("steps", [(), lots.run().steps])
def test_a_lot_waits_until_its_run_has_come_to_its_step(steps: Any) -> None:
    begun = lots.run(step=0, steps=steps)
    with pytest.raises(NotYet) as wait:
        handle(lots.command("adopt_lot", run_id=lots.RUN, step_index=1), lots.facts(begun, old()))
    assert wait.value.waiting_for == {"run_id": str(lots.RUN), "current_step_index": 1}
    assert wait.value.blocked_on == (lots.RUN,)


def test_a_lot_waits_for_itself_and_its_run() -> None:
    waits = [lots.said(lots.command("adopt_lot", run_id=lots.RUN), lots.facts(*found)) for found in ((), (old(),))]
    assert waits == ["waits: lot_id", "waits: run_id"]


@pytest.mark.parametrize(
    ("lot_code", "run_code", "expected"),
    [
        ("RAW-20260201-BUDA-0001", "RUN-20260201-MAIN-0001", "LOT_CODE_OTHER_SITE"),
        ("RAW-20260201-MAIN-0001", "RUN-20260201-MAIN-0001", "QUARANTINE"),
        ("RAW-20260201-BUDA-0001", "OLD-7", "QUARANTINE"),
        ("OLD-1", "RUN-20260201-MAIN-0001", "QUARANTINE"),
    ],
)
def test_lot_and_run_are_of_one_site(lot_code: str, run_code: str, expected: str) -> None:
    known = lots.facts(lots.run(run_code=run_code), old(lot_code=lot_code))
    assert lots.said(lots.command("adopt_lot", run_id=lots.RUN), known) == expected


def test_a_step_that_the_plan_leaves_out_is_no_lots() -> None:
    begun = runs.run("RUNNING", 10)._replace(id=lots.RUN)
    refusal = refused(lots.facts(begun, old()), run_id=lots.RUN, lot_type=None, step_index=2)
    assert refusal.code is Code.STEP_NOT_PLANNED


@pytest.mark.parametrize(
    ("status", "given", "expected"),
    [
        ("CONSUMED", {"lot_type": "MIX"}, "CONSUMED"),
        ("CONSUMED", {"run_id": lots.RUN}, "CONSUMED"),
        ("CONSUMED", {"lot_type": "SKW15"}, "LOT_FROZEN"),
        ("CONSUMED", {"step_index": 1}, "LOT_FROZEN"),
        ("FINISHED", {"lot_type": "MIX"}, "LOT_FROZEN"),
        ("REJECTED", {"run_id": lots.RUN}, "LOT_FROZEN"),
    ],
)
def test_a_closed_lot_keeps_what_it_is(status: str, given: dict[str, Any], expected: str) -> None:
    asked = lots.command("adopt_lot", **({"lot_type": None} | given))
    assert lots.said(asked, lots.facts(lots.run(), old(status))) == expected


@pytest.mark.parametrize(
    ("has", "given", "expected"),
    [
        ({}, {"lot_type": "SKW"}, "LOT_TYPE_LEGACY"),
        ({"sku_type": "30"}, {"lot_type": "FRZ15"}, "SKU_MIXED"),
        ({"sku_type": "15"}, {"lot_type": "FRZ15"}, "QUARANTINE"),
        ({"step_index": 4}, {"lot_type": "DEB"}, "LOT_TYPE_NOT_ALLOWED"),
        ({"step_index": 4}, {"lot_type": "MIX"}, "QUARANTINE"),
        ({"lot_type": "SKW"}, {"lot_type": None, "step_index": 5}, "QUARANTINE"),
        ({"lot_type": "SKW"}, {"lot_type": None, "step_index": 6}, "LOT_TYPE_NOT_ALLOWED"),
        ({"lot_type": "PAL"}, {"lot_type": None, "step_index": 9}, "QUARANTINE"),
    ],
)
def test_type_step_and_sku_fit_each_other(has: dict[str, Any], given: dict[str, Any], expected: str) -> None:
    fields = dict(has)
    lot = lots.lot("QUARANTINE", fields.pop("lot_type", None), fields.pop("step_index", None), run_id=None, **fields)
    assert lots.said(lots.command("adopt_lot", **given), lots.facts(lots.run(), lot)) == expected


def test_completion_finishes_lots_whose_steps_nobody_knows() -> None:
    """Parents before children or after them, as they come."""
    ids = sorted(uuid4() for _ in range(3))
    for first, second, third in (ids, ids[::-1]):
        chain = (
            lots.lot("CONSUMED", "RAW", None, id=first, children=frozenset({second})),
            lots.lot("CONSUMED", "DEB", None, id=second, children=frozenset({third})),
            lots.lot("RELEASED", "SHIP", None, id=third),
        )
        for known in (chain, chain[::-1]):
            result = handle(lots.command("complete_run"), lots.facts(lots.run(step=10), *known))
            assert [lot.id for lot in result.lots] == [third, second, first]
