"""Every refusal about runs and flow versions, and every wait: the code, the words, and what goes into the verdict."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit import lots
from tests.unit.runs import OTHER_VERSION, RUN, STRANGER, USERS, VERSION, VERSIONS, command, facts, run

from runworker.commands import Command
from runworker.errors import NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, RunFact
from runworker.states import FlowVersionStatus, UserRole

OPERATOR = USERS[UserRole.OPERATOR]
DRAFT = {VERSION: replace(VERSIONS[VERSION], status=FlowVersionStatus.DRAFT)}


def of_version(name: str, status: str | None, unfinished: int = 0) -> tuple[Command, Facts]:
    """A command about a flow version in this state."""
    known = [lots.version(status)] if status else []
    return lots.command(name), lots.facts(*known, unfinished=unfinished)


REFUSED: dict[str, tuple[Command, Facts, str, str, dict[str, Any]]] = {
    "a stranger": (
        command("hold_run", issued_by=STRANGER), facts(run("RUNNING")),
        "UNKNOWN_USER", f"issued_by {STRANGER} names no user", {},
    ),
    "a role": (
        command("abort_run", issued_by=OPERATOR), facts(run("RUNNING")),
        "ROLE_NOT_ALLOWED", "abort_run may be issued by ADMIN, MANAGER, not by OPERATOR", {},
    ),
    "a stranger at work": (
        command("advance_step", operator_id=STRANGER), facts(run("RUNNING")),
        "UNKNOWN_USER", f"operator_id {STRANGER} names no user", {},
    ),
    "a run that is there": (
        command("start_run"), facts(run("HOLD")),
        "RUN_ALREADY_EXISTS", f"run {RUN} is HOLD already; a new run needs an id of its own", {"run_status": "HOLD"},
    ),
    "no version": (
        command("start_run"), facts(versions={}),
        "UNKNOWN_FLOW_VERSION", f"no flow version has the id {VERSION}", {},
    ),
    "a draft": (
        command("start_run"), facts(versions=DRAFT),
        "FLOW_VERSION_NOT_PUBLISHED", f"flow version {VERSION} is DRAFT; a run needs a PUBLISHED one", {},
    ),
    "another pin": (
        command("start_run", flow_version_id=OTHER_VERSION), facts(run("IDLE")),
        "RUN_PIN_IMMUTABLE", f"run {RUN} is pinned to {VERSION} and not to {OTHER_VERSION}", {},
    ),
    "a step behind": (
        command("advance_step", to_step_index=1), facts(run("RUNNING", 3)),
        "STEP_ALREADY_PASSED", f"run {RUN} is at step 3; step 1 lies behind it", {"current_step_index": 3},
    ),
    "no such step": (
        command("advance_step", to_step_index=2), facts(run("RUNNING", 1)),
        "STEP_NOT_PLANNED", f"the plan of run {RUN} has no step 2; it has [0, 1, 3, 10]", {},
    ),
    "a finished run": (
        command("advance_step"), facts(run("ABORTED", 1)),
        "RUN_NOT_RUNNING", f"run {RUN} is ABORTED", {"run_status": "ABORTED"},
    ),
    "a legacy run": (
        command("advance_step"), facts(run("RUNNING", legacy=True)),
        "RUN_NOT_PINNED", f"run {RUN} is a legacy run without a plan; adopt_run gives it one", {},
    ),
    "a held run": (
        command("advance_step"), facts(run("HOLD")),
        "RUN_ON_HOLD", f"run {RUN} is on HOLD: no reason recorded", {},
    ),
    "a hold of a held run": (
        command("hold_run"), facts(run("HOLD")),
        "RUN_ILLEGAL_MOVE", f"run {RUN} is HOLD and cannot become HOLD: it has to be RUNNING", {"run_status": "HOLD"},
    ),
    "an abort of a finished run": (
        command("abort_run"), facts(run("COMPLETED", 10)),
        "RUN_ILLEGAL_MOVE", f"run {RUN} is COMPLETED and cannot become ABORTED: it has to be IDLE or RUNNING or HOLD",
        {"run_status": "COMPLETED"},
    ),
    "going on without a hold": (
        command("resume_run"), facts(run("RUNNING")),
        "RUN_ILLEGAL_MOVE", f"run {RUN} is RUNNING and cannot become RUNNING: only a run on HOLD is resumed",
        {"run_status": "RUNNING"},
    ),
    "approval of nothing": (
        *of_version("approve_flow_version", None),
        "UNKNOWN_FLOW_VERSION", f"no flow version has the id {lots.VERSION}", {},
    ),
    "approval of a draft": (
        *of_version("approve_flow_version", "DRAFT"),
        "FLOW_VERSION_ILLEGAL_MOVE",
        f"flow version {lots.VERSION} is DRAFT and cannot become PUBLISHED: it has to be REVIEW",
        {"flow_version_status": "DRAFT"},
    ),
    "sending a draft back": (
        *of_version("reject_flow_version", "DRAFT"),
        "FLOW_VERSION_ILLEGAL_MOVE",
        f"flow version {lots.VERSION} is DRAFT and cannot become DRAFT: it has to be REVIEW",
        {"flow_version_status": "DRAFT"},
    ),
    "withdrawal of what is in use": (
        *of_version("deprecate_flow_version", "PUBLISHED", unfinished=2),
        "FLOW_VERSION_IN_USE", f"2 unfinished runs are pinned to flow version {lots.VERSION}", {"unfinished_runs": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "known", "code", "message", "told"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_what_was_wrong(
    asked: Command, known: Facts, code: str, message: str, told: dict[str, Any]
) -> None:
    with pytest.raises(Rejected) as refusal:
        handle(asked, known)
    assert (refusal.value.code, refusal.value.message, refusal.value.facts) == (code, message, told)


WAITING: dict[str, tuple[Command, list[RunFact], str, dict[str, Any]]] = {
    "no run": (command("hold_run"), [], f"run {RUN} does not exist yet", {}),
    "a run not begun": (
        command("advance_step"), [run("IDLE")], f"run {RUN} has not been started yet", {"run_status": "RUNNING"},
    ),
    "a step ahead": (
        command("advance_step", to_step_index=10), [run("RUNNING", 1)],
        f"run {RUN} is at step 1 and has to reach step 3 first", {"current_step_index": 3},
    ),
    "the end": (
        command("complete_run"), [run("RUNNING", 3)],
        f"run {RUN} is at step 3 and has to reach step 10, the plan's last first", {"current_step_index": 10},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "runs", "message", "waits_for"), WAITING.values(), ids=WAITING)
def test_a_wait_says_for_what(asked: Command, runs: list[RunFact], message: str, waits_for: dict[str, Any]) -> None:
    with pytest.raises(NotYet) as wait:
        handle(asked, facts(*runs))
    assert (wait.value.message, wait.value.waiting_for) == (message, {"run_id": str(RUN)} | waits_for)
    assert wait.value.blocked_on == (RUN,)


def test_a_version_that_nobody_has_counted_runs_of_is_not_in_use() -> None:
    asked, known = of_version("deprecate_flow_version", "PUBLISHED")
    assert handle(asked, replace(known, unfinished_runs={})).versions[0].status == "DEPRECATED"
