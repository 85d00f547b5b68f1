"""Use cases of runs: what an accepted command makes of the run and its steps."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.plant import REASON
from tests.unit.runs import ADMIN, EARLIER, NOW, RUN, USERS, VERSION, command, facts, run

from runworker.errors import Rejected
from runworker.handlers import handle
from runworker.handlers.facts import RunFact
from runworker.plan import SKIPPED_NODE_ID
from runworker.states import RunStatus, UserRole


def test_a_new_run_has_what_the_command_says() -> None:
    scenario, operator = uuid4(), USERS[UserRole.OPERATOR]
    asked = command("start_run", site_code="BUDA", scenario_id=scenario, operator_id=operator, daily_target_kg=1250.5)
    result = handle(asked, facts())
    began = result.run
    assert result.state == {"version_num": 3}
    assert (began.id, began.flow_version_id, began.idempotency_key) == (RUN, VERSION, asked.idempotency_key)
    assert (began.site_code, began.scenario_id, began.daily_target_kg) == ("BUDA", scenario, Decimal("1250.5"))
    assert (began.started_by, began.operator_id, began.started_at, began.run_code) == (ADMIN, operator, NOW, None)
    assert [
        (step.step_index, step.node_id, step.status, step.started_at, step.operator_id) for step in began.steps
    ] == [
        (0, "node-0", "IN_PROGRESS", NOW, operator),
        (1, "node-1", "PENDING", None, None),
        (2, SKIPPED_NODE_ID, "SKIPPED", None, None),
        (3, "node-3", "PENDING", None, None),
        *((index, SKIPPED_NODE_ID, "SKIPPED", None, None) for index in range(4, 10)),
        (10, "node-10", "PENDING", None, None),
    ]


def test_a_new_run_has_defaults() -> None:
    began = handle(command("start_run", issued_by=USERS[UserRole.OPERATOR]), facts(default_site_code="DEBR")).run
    assert (began.site_code, began.operator_id) == ("DEBR", USERS[UserRole.OPERATOR])
    assert began.steps[0].operator_id == USERS[UserRole.OPERATOR]


def test_an_idle_run_keeps_its_operator_and_code() -> None:
    operator = USERS[UserRole.OPERATOR]
    began = handle(command("start_run"), facts(run("IDLE")._replace(operator_id=operator))).run
    assert (began.operator_id, began.started_by, began.run_code) == (operator, ADMIN, "RUN-20260201-MAIN-0001")


def changed_steps(before: RunFact, after: RunFact) -> dict[int, tuple[Any, ...]]:
    return {
        now.step_index: (now.status, now.started_at, now.completed_at, now.operator_id)
        for was, now in zip(before.steps, after.steps, strict=True)
        if was != now
    }


@pytest.mark.parametrize("operator", [None, USERS[UserRole.AUDITOR]])
def test_an_advance_finishes_one_step_and_begins_the_next(operator: UUID | None) -> None:
    before = run("RUNNING", 1)
    asked = command("advance_step", to_step_index=3, operator_id=operator, issued_by=USERS[UserRole.OPERATOR])
    after = handle(asked, facts(before)).run
    assert changed_steps(before, after) == {
        1: ("COMPLETED", EARLIER, NOW, ADMIN),
        3: ("IN_PROGRESS", NOW, None, operator or USERS[UserRole.OPERATOR]),
    }
    assert after._replace(steps=before.steps, current_step_index=1) == before


@pytest.mark.parametrize(
    ("name", "status", "becomes"), [("hold_run", "RUNNING", "HOLD"), ("resume_run", "HOLD", "RUNNING")]
)
def test_hold_and_resume_change_status_and_reason_alone(name: str, status: str, becomes: str) -> None:
    before = run(status, 1)
    after = handle(command(name), facts(before)).run
    assert after == before._replace(status=RunStatus(becomes), status_reason=REASON)


def test_completion_finishes_the_last_step_and_the_run() -> None:
    before = run("RUNNING", 10)
    after = handle(command("complete_run"), facts(before)).run
    assert changed_steps(before, after) == {10: ("COMPLETED", EARLIER, NOW, ADMIN)}
    assert (after.status, after.completed_at, after.ended_at) == (RunStatus.COMPLETED, NOW, NOW)


def test_an_abort_skips_what_is_not_finished() -> None:
    before = run("HOLD", 1)
    after = handle(command("abort_run"), facts(before)).run
    assert changed_steps(before, after) == {
        1: ("SKIPPED", EARLIER, None, ADMIN),
        3: ("SKIPPED", None, None, None),
        10: ("SKIPPED", None, None, None),
    }
    assert (after.status, after.completed_at, after.ended_at, after.status_reason) == ("ABORTED", None, NOW, REASON)


def test_a_refusal_on_hold_says_why_the_run_is_held() -> None:
    held = run("HOLD", 1)._replace(status_reason="the oven is cold")
    with pytest.raises(Rejected, match="the oven is cold"):
        handle(command("advance_step", to_step_index=3), facts(held))
