"""Use cases of flow versions: what every command says to a version in every state, and to whom."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from tests.plant import REASON
from tests.unit.lots import ADMIN, NOW, USERS, VERSION, applied, command, facts, said, version

from runworker.codes import Code
from runworker.commands import COMMANDS
from runworker.commands.flows import FLOW_COMMANDS
from runworker.errors import Rejected
from runworker.handlers import handle
from runworker.plan import PlanInvalid, read_plan
from runworker.states import FlowVersionStatus, UserRole

STATES = (None, *FlowVersionStatus)

# x: FLOW_VERSION_ILLEGAL_MOVE.
TABLE = {
    "submit_flow_version": ("UNKNOWN_FLOW_VERSION", "REVIEW", "x", "x", "x"),
    "approve_flow_version": ("UNKNOWN_FLOW_VERSION", "x", "PUBLISHED", "x", "x"),
    "reject_flow_version": ("UNKNOWN_FLOW_VERSION", "x", "DRAFT", "x", "x"),
    "deprecate_flow_version": ("UNKNOWN_FLOW_VERSION", "x", "x", "DEPRECATED", "x"),
}


def with_version(state: FlowVersionStatus | None) -> list[Any]:
    return [version(state)] if state else []


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [(name, state, cell) for name, cells in TABLE.items() for state, cell in zip(STATES, cells, strict=True)],
)
def test_every_command_in_every_state(name: str, state: FlowVersionStatus | None, expected: str) -> None:
    assert said(command(name), facts(*with_version(state))) == {"x": Code.FLOW_VERSION_ILLEGAL_MOVE}.get(
        expected, expected
    )


def test_every_command_is_in_the_table() -> None:
    assert TABLE.keys() == {asked.name for asked in FLOW_COMMANDS}


@pytest.mark.parametrize("role", UserRole)
@pytest.mark.parametrize("name", TABLE)
def test_who_asks_is_judged_before_what_is_asked(name: str, role: UserRole) -> None:
    answers = {said(command(name, issued_by=USERS[role]), facts(*with_version(state))) for state in STATES}
    if role in COMMANDS[name].roles:
        assert Code.ROLE_NOT_ALLOWED not in answers
    else:
        assert answers == {Code.ROLE_NOT_ALLOWED}


def test_who_may_issue_what() -> None:
    assert {asked.name: " ".join(sorted(asked.roles)) for asked in FLOW_COMMANDS} == {
        "submit_flow_version": "ADMIN MANAGER",
        "approve_flow_version": "ADMIN MANAGER",
        "reject_flow_version": "ADMIN MANAGER",
        "deprecate_flow_version": "ADMIN",
    }


def no_plan() -> PlanInvalid:
    with pytest.raises(PlanInvalid) as invalid:
        read_plan({"nodes": [], "edges": []})
    return invalid.value


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [("submit_flow_version", "DRAFT", "PLAN_INVALID"), ("approve_flow_version", "REVIEW", "PLAN_INVALID"),
     ("approve_flow_version", "DRAFT", "FLOW_VERSION_ILLEGAL_MOVE"), ("reject_flow_version", "REVIEW", "DRAFT"),
     ("deprecate_flow_version", "PUBLISHED", "DEPRECATED")],
)  # fmt: skip
def test_a_plan_is_checked_when_handed_in_and_when_published(name: str, state: str, expected: str) -> None:
    """And a version with a broken one can be sent back, or withdrawn."""
    assert said(command(name), facts(version(state, plan=no_plan()))) == expected


def test_what_is_wrong_with_a_plan_is_told() -> None:
    with pytest.raises(Rejected) as refusal:
        handle(command("submit_flow_version"), facts(version("DRAFT", plan=no_plan())))
    assert refusal.value.facts["problems"][0]["code"] == Code.PLAN_EMPTY


def test_publishing_supersedes_the_published_version_of_the_same_flow() -> None:
    old, draft, gone, elsewhere = (version(state, uuid4()) for state in ("PUBLISHED", "DRAFT", "DEPRECATED", "REVIEW"))
    elsewhere = replace(elsewhere, status=FlowVersionStatus.PUBLISHED, flow_definition_id=uuid4())
    known = facts(old, draft, gone, elsewhere, version("REVIEW"), unfinished=3)
    outcome = applied(command("approve_flow_version", issued_by=USERS[UserRole.MANAGER]), known)
    manager = USERS[UserRole.MANAGER]
    assert outcome.versions == (
        replace(old, status=FlowVersionStatus.DEPRECATED),
        version("PUBLISHED", reviewed_by=manager, published_by=manager, published_at=NOW),
    )
    assert dict(outcome.state) == {"superseded": [str(old.id)]}


def test_the_first_version_of_a_flow_supersedes_nothing() -> None:
    assert dict(applied(command("approve_flow_version"), facts(version("REVIEW"))).state) == {"superseded": []}


def test_a_superseded_version_keeps_who_published_it() -> None:
    publisher, old_id = uuid4(), uuid4()
    old = version("PUBLISHED", old_id, published_by=publisher, published_at=NOW, reviewed_by=publisher)
    superseded, _ = applied(command("approve_flow_version"), facts(old, version("REVIEW"))).versions
    assert (superseded.published_by, superseded.published_at, superseded.reviewed_by) == (publisher, NOW, publisher)


def test_a_version_sent_back_names_its_reviewer_and_the_reason() -> None:
    outcome = applied(command("reject_flow_version"), facts(version("REVIEW")))
    assert outcome.versions == (version("DRAFT", reviewed_by=ADMIN),)
    assert dict(outcome.state) == {"reason": REASON}


@pytest.mark.parametrize(("unfinished", "expected"), [(0, "DEPRECATED"), (1, "FLOW_VERSION_IN_USE")])
@pytest.mark.parametrize("reason", [None, REASON])
def test_a_version_in_use_is_not_withdrawn(unfinished: int, expected: str, reason: str | None) -> None:
    asked = command("deprecate_flow_version", reason=reason)
    assert said(asked, facts(version("PUBLISHED"), unfinished=unfinished)) == expected


def test_a_refusal_names_the_rule_and_the_values() -> None:
    with pytest.raises(Rejected) as refusal:
        handle(command("deprecate_flow_version"), facts(version("PUBLISHED"), unfinished=7))
    assert refusal.value.message == f"7 unfinished runs are pinned to flow version {VERSION}"
    assert refusal.value.facts == {"unfinished_runs": 7}
    with pytest.raises(Rejected) as refusal:
        handle(command("approve_flow_version"), facts(version("DRAFT")))
    assert refusal.value.message == f"flow version {VERSION} is DRAFT and cannot become PUBLISHED: it has to be REVIEW"
    assert refusal.value.facts == {"flow_version_status": "DRAFT"}
