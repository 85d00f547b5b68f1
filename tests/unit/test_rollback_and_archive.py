"""Going back a step, putting a finished run away, and quality control's word before a run goes on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.plant import REASON, linear_graph
from tests.unit.lots import (
    ADMIN,
    EARLIER,
    NOW,
    OTHER_RUN,
    PLAN,
    RETENTION,
    RUN,
    USERS,
    applied,
    command,
    facts,
    lot,
    run,
    said,
)

from runworker.codes import Code
from runworker.commands import COMMANDS
from runworker.errors import Rejected
from runworker.handlers import handle
from runworker.handlers.facts import LotFact, RunFact
from runworker.plan import Plan, PlanInvalid, read_plan
from runworker.states import LotStatus, RunStatus, StepExecutionStatus, UserRole

WITHOUT_GATES = read_plan(linear_graph(range(11)))
OPEN = (LotStatus.CREATED, LotStatus.QUARANTINE, LotStatus.HOLD)


# Rolling back.

ROLLBACK = {
    "IDLE": "waits: run_id run_status",
    "RUNNING": "RUNNING 2",
    "HOLD": "HOLD 2",
    "COMPLETED": "RUN_NOT_RUNNING",
    "ABORTED": "RUN_NOT_RUNNING",
    "ARCHIVED": "RUN_NOT_RUNNING",
}


@pytest.mark.parametrize("status", RunStatus)
def test_a_rollback_in_every_state(status: str) -> None:
    assert said(command("rollback_step", to_step_index=2), facts(run(status, 5))) == ROLLBACK[status]


def test_a_rollback_waits_for_its_run_and_needs_a_plan() -> None:
    assert said(command("rollback_step"), facts()) == "waits: run_id"
    assert said(command("rollback_step"), facts(run(steps=()))) == Code.RUN_NOT_PINNED


@pytest.mark.parametrize("target", range(11))
def test_a_run_goes_back_to_an_earlier_planned_step(target: int) -> None:
    begun = run(step=5)
    steps = tuple(
        step._replace(status=StepExecutionStatus.SKIPPED) if step.step_index == 3 else step for step in begun.steps
    )
    expected = f"RUNNING {target}" if target in (0, 1, 2, 4) else Code.STEP_NOT_BEHIND
    assert said(command("rollback_step", to_step_index=target), facts(begun._replace(steps=steps))) == expected


def test_what_a_rollback_makes_of_the_steps() -> None:
    manager = USERS[UserRole.MANAGER]
    before = run("HOLD", 5)
    after = applied(command("rollback_step", to_step_index=2, issued_by=manager), facts(before)).run
    assert after is not None
    assert (after.status, after.current_step_index, after.status_reason) == ("HOLD", 2, REASON)
    assert [
        (step.step_index, step.status, step.started_at, step.completed_at, step.operator_id) for step in after.steps
    ] == [
        (0, "COMPLETED", EARLIER, EARLIER, ADMIN),
        (1, "COMPLETED", EARLIER, EARLIER, ADMIN),
        (2, "IN_PROGRESS", NOW, None, manager),
        *((index, "PENDING", None, None, None) for index in range(3, 11)),
    ]


@pytest.mark.parametrize("state", LotStatus)
@pytest.mark.parametrize(("step", "ahead"), [(1, False), (2, False), (3, True), (5, True), (None, False)])
def test_live_lots_of_later_steps_keep_a_run_from_going_back(step: int | None, ahead: bool, state: LotStatus) -> None:
    refused = ahead and state is not LotStatus.REJECTED
    known = facts(run(step=5), lot(state, step=step))
    expected = Code.LIVE_LOTS_AHEAD if refused else "RUNNING 2"
    assert said(command("rollback_step", to_step_index=2), known) == expected


def test_lots_of_other_runs_do_not() -> None:
    known = facts(run(step=5), run(step=5, id=OTHER_RUN), lot(step=5, run_id=OTHER_RUN))
    assert said(command("rollback_step", to_step_index=2), known) == "RUNNING 2"


def test_a_refused_rollback_names_lots_and_steps() -> None:
    with pytest.raises(Rejected) as refusal:
        handle(command("rollback_step"), facts(run(step=2), lot(), lot(id=uuid4(), lot_code="RAW-2")))
    assert refusal.value.message == "2 live lots belong to steps after 0"
    assert refusal.value.facts == {"lots": ["RAW-2", "RAW-20260201-MAIN-0001"]}
    with pytest.raises(Rejected, match=rf"run {RUN} is at step 2; it goes back to one of \[0, 1\], not to 2"):
        handle(command("rollback_step", to_step_index=2), facts(run(step=2)))


# Archiving.

ARCHIVING = {
    "IDLE": "RUN_ILLEGAL_MOVE",
    "RUNNING": "RUN_ILLEGAL_MOVE",
    "HOLD": "RUN_ILLEGAL_MOVE",
    "COMPLETED": "ARCHIVED 10",
    "ABORTED": "ARCHIVED 10",
    "ARCHIVED": "RUN_ILLEGAL_MOVE",
}


@pytest.mark.parametrize("status", RunStatus)
def test_archiving_in_every_state(status: str) -> None:
    assert said(command("archive_run"), facts(run(status, 10, ended_at=NOW - RETENTION))) == ARCHIVING[status]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (NOW - RETENTION - timedelta(seconds=1), "ARCHIVED 10"),
        (NOW - RETENTION, "ARCHIVED 10"),
        (NOW - RETENTION + timedelta(seconds=1), "RETENTION_NOT_PASSED"),
        (NOW, "RETENTION_NOT_PASSED"),
        (None, "ARCHIVED 10"),  # a legacy run whose end nobody wrote down
    ],
)
@pytest.mark.parametrize("status", ["COMPLETED", "ABORTED"])
def test_retention(status: str, ended: Any, expected: str) -> None:
    assert said(command("archive_run"), facts(run(status, 10, ended_at=ended))) == expected


def test_archiving_changes_nothing_but_the_status() -> None:
    before = run("COMPLETED", 10, ended_at=NOW - RETENTION)
    outcome = applied(command("archive_run"), facts(before, lot("HOLD")))
    assert (outcome.run, outcome.lots) == (before._replace(status=RunStatus.ARCHIVED), ())


def test_a_refused_archiving_says_how_long_a_run_is_kept() -> None:
    with pytest.raises(Rejected, match="ended at 2026-02-01 06:00; it is kept for 30 days"):
        handle(command("archive_run"), facts(run("ABORTED", 3, ended_at=NOW)))


@pytest.mark.parametrize("role", UserRole)
@pytest.mark.parametrize(("name", "roles"), [("rollback_step", "ADMIN MANAGER"), ("archive_run", "ADMIN")])
def test_who_may(name: str, roles: str, role: UserRole) -> None:
    assert " ".join(sorted(COMMANDS[name].roles)) == roles
    known = facts(run("COMPLETED", 10, ended_at=NOW))
    assert (said(command(name, issued_by=USERS[role]), known) == Code.ROLE_NOT_ALLOWED) is (role not in roles.split())


# Quality control before a run goes on.


def leaving(step: int) -> tuple[RunFact, Any]:
    """A run at a step, and the command that leaves it."""
    leave = command("complete_run") if step == 10 else command("advance_step", to_step_index=step + 1)
    return run(step=step), leave


@pytest.mark.parametrize("state", LotStatus)
@pytest.mark.parametrize("step", range(11))
@pytest.mark.parametrize("plan", [PLAN, WITHOUT_GATES], ids=["with gates", "without"])
def test_when_quality_control_is_done(plan: Plan, step: int, state: LotStatus) -> None:
    has_gate = plan is PLAN and step not in (0, 3, 6)
    blocks = state in OPEN if has_gate else state is LotStatus.HOLD
    began, leave = leaving(step)
    gone = "COMPLETED 10" if step == 10 else f"RUNNING {step + 1}"
    # A type that finishes with nothing: said() shows the run.
    known = facts(began, lot(state, "RAW", step, children=frozenset({uuid4()})), plan=plan)
    assert said(leave, known) == (Code.QC_PENDING if blocks else gone)


@pytest.mark.parametrize("state", OPEN)
def test_lots_of_other_steps_and_runs_do_not_matter(state: LotStatus) -> None:
    began, leave = leaving(4)
    other = [lot(state, step=3), lot(state, step=5, id=uuid4()), lot(state, step=4, id=uuid4(), run_id=OTHER_RUN)]
    assert said(leave, facts(began, *other)) == "RUNNING 5"


@pytest.mark.parametrize("state", OPEN)
def test_a_plan_that_cannot_be_read_opens_no_gate(state: LotStatus) -> None:
    with pytest.raises(PlanInvalid) as invalid:
        read_plan({})
    began, leave = leaving(3)
    assert said(leave, facts(began, lot(state, "BULK", 3), plan=invalid.value)) == Code.QC_PENDING


def test_a_ccp_is_a_gate() -> None:
    graph = linear_graph(range(11))
    graph["nodes"][3]["data"]["config"] = {"isCCP": True}
    began, leave = leaving(3)
    assert said(leave, facts(began, lot("QUARANTINE", step=3), plan=read_plan(graph))) == Code.QC_PENDING


def test_a_refusal_names_the_lots() -> None:
    began, leave = leaving(1)
    with pytest.raises(Rejected) as refusal:
        handle(leave, facts(began, lot("HOLD"), lot("QUARANTINE", id=uuid4(), lot_code="RAW-2")))
    assert refusal.value.message == "2 lots of step 1 wait for quality control"
    assert refusal.value.facts == {"lots": ["RAW-2", "RAW-20260201-MAIN-0001"]}


# Completing.


def finished(*lots: LotFact) -> Mapping[str, str]:
    """Codes and states of the lots that the completion finishes, in its order."""
    return {each.lot_code or "": str(each.status) for each in applied(command("complete_run"), known(*lots)).lots}


def known(*lots: LotFact) -> Any:
    return facts(run(step=10), *lots)


def chain(*types: tuple[str, int, str]) -> list[LotFact]:
    """Lots each made of the one before."""
    ids = [uuid4() for _ in types]
    return [
        lot(status, lot_type, step, id=id_, lot_code=lot_type, children=frozenset({child} if child else ()))
        for (lot_type, step, status), id_, child in zip(types, ids, [*ids[1:], None], strict=True)
    ]


def test_completion_finishes_the_last_lots_first() -> None:
    lots = chain(("RAW", 1, "CONSUMED"), ("DEB", 2, "CONSUMED"), ("PAL", 9, "CONSUMED"), ("SHIP", 10, "RELEASED"))
    for order in (lots, lots[::-1]):
        assert list(finished(*order)) == ["SHIP", "PAL", "DEB", "RAW"]
    assert dict(applied(command("complete_run"), known(*lots)).state) == {"lots_finished": 4}


def test_completion_leaves_lots_that_cannot_be_finished() -> None:
    lots = chain(("RAW", 1, "CONSUMED"), ("DEB", 2, "RELEASED"), ("PAL", 9, "CONSUMED"), ("SHIP", 10, "REJECTED"))
    assert list(finished(*lots)) == ["PAL"]


def test_completion_asks_after_children_in_other_runs() -> None:
    child = lot("RELEASED", "DEB", 2, id=uuid4(), run_id=OTHER_RUN)
    parent = lot("CONSUMED", children=frozenset({child.id}))
    assert list(finished(parent, child)) == []
    assert len(finished(parent, replace(child, status=LotStatus.FINISHED))) == 1
