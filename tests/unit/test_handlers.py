"""Use cases of runs: what every command says to a run in every state, and to whom."""

import pytest
from tests.unit.runs import FLOW, OTHER_VERSION, PLAN, STRANGER, USERS, VERSION, command, facts, outcome, run

from runworker.codes import Code
from runworker.commands import COMMANDS, Command
from runworker.commands.runs import RUN_COMMANDS
from runworker.handlers import handle
from runworker.handlers.facts import RunFact, VersionFact
from runworker.plan import PlanInvalid, read_plan
from runworker.states import FlowVersionStatus, UserRole

NAMES = [asked.name for asked in RUN_COMMANDS]
RUNS: dict[str, RunFact | None] = {
    "no run": None,
    "IDLE": run("IDLE"),
    "RUNNING 0": run("RUNNING", 0),
    "RUNNING 1": run("RUNNING", 1),
    "RUNNING 10": run("RUNNING", 10),
    "HOLD 1": run("HOLD", 1),
    "HOLD 10": run("HOLD", 10),
    "COMPLETED 10": run("COMPLETED", 10),
    "ABORTED 1": run("ABORTED", 1),
    "ARCHIVED 10": run("ARCHIVED", 10),
    "legacy IDLE": run("IDLE", legacy=True),
    "legacy RUNNING": run("RUNNING", legacy=True),
    "legacy HOLD": run("HOLD", legacy=True),
    "legacy COMPLETED": run("COMPLETED", legacy=True),
}

# What comes of each command (left) for a run in each state (above the block), in the order of RUNS.
TABLE: dict[str, tuple[str, ...]] = {
    "start": (
        "RUNNING 0", "RUNNING 0", "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS",
        "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS",
        "RUNNING 0", "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS", "RUN_ALREADY_EXISTS",
    ),
    "advance to 0": (
        "waits: run", "waits: RUNNING", "STEP_ALREADY_PASSED", "STEP_ALREADY_PASSED", "STEP_ALREADY_PASSED",
        "STEP_ALREADY_PASSED", "STEP_ALREADY_PASSED", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "waits: RUNNING", "RUN_NOT_PINNED", "RUN_NOT_PINNED", "RUN_NOT_RUNNING",
    ),
    "advance to 1": (
        "waits: run", "waits: RUNNING", "RUNNING 1", "STEP_ALREADY_PASSED", "STEP_ALREADY_PASSED",
        "STEP_ALREADY_PASSED", "STEP_ALREADY_PASSED", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "waits: RUNNING", "RUN_NOT_PINNED", "RUN_NOT_PINNED", "RUN_NOT_RUNNING",
    ),
    "advance to 2": (
        "waits: run", "waits: RUNNING", "STEP_NOT_PLANNED", "STEP_NOT_PLANNED", "STEP_NOT_PLANNED",
        "STEP_NOT_PLANNED", "STEP_NOT_PLANNED", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "waits: RUNNING", "RUN_NOT_PINNED", "RUN_NOT_PINNED", "RUN_NOT_RUNNING",
    ),
    "advance to 3": (
        "waits: run", "waits: RUNNING", "waits: 1", "RUNNING 3", "STEP_ALREADY_PASSED",
        "RUN_ON_HOLD", "STEP_ALREADY_PASSED", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "waits: RUNNING", "RUN_NOT_PINNED", "RUN_NOT_PINNED", "RUN_NOT_RUNNING",
    ),
    "advance to 10": (
        "waits: run", "waits: RUNNING", "waits: 3", "waits: 3", "STEP_ALREADY_PASSED",
        "waits: 3", "STEP_ALREADY_PASSED", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "waits: RUNNING", "RUN_NOT_PINNED", "RUN_NOT_PINNED", "RUN_NOT_RUNNING",
    ),
    "hold": (
        "waits: run", "RUN_ILLEGAL_MOVE", "HOLD 0", "HOLD 1", "HOLD 10",
        "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE",
        "RUN_ILLEGAL_MOVE", "HOLD 0", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE",
    ),
    "resume": (
        "waits: run", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE",
        "RUNNING 1", "RUNNING 10", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE",
        "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUNNING 0", "RUN_ILLEGAL_MOVE",
    ),
    "complete": (
        "waits: run", "waits: RUNNING", "waits: 10", "waits: 10", "COMPLETED 10",
        "waits: 10", "RUN_ON_HOLD", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "waits: RUNNING", "RUN_NOT_PINNED", "RUN_NOT_PINNED", "RUN_NOT_RUNNING",
    ),
    "roll back to 0": (
        "waits: run", "waits: RUNNING", "STEP_NOT_BEHIND", "RUNNING 0", "RUNNING 0",
        "HOLD 0", "HOLD 0", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "waits: RUNNING", "RUN_NOT_PINNED", "RUN_NOT_PINNED", "RUN_NOT_RUNNING",
    ),
    "archive": (
        "waits: run", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE",
        "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "ARCHIVED 10", "ARCHIVED 1", "RUN_ILLEGAL_MOVE",
        "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "ARCHIVED 0",
    ),
    "abort": (
        "waits: run", "ABORTED 0", "ABORTED 0", "ABORTED 1", "ABORTED 10",
        "ABORTED 1", "ABORTED 10", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE", "RUN_ILLEGAL_MOVE",
        "ABORTED 0", "ABORTED 0", "ABORTED 0", "RUN_ILLEGAL_MOVE",
    ),
    "adopt": (
        "waits: run", "RUN_NOT_RUNNING", "RUN_PIN_IMMUTABLE", "RUN_PIN_IMMUTABLE", "RUN_PIN_IMMUTABLE",
        "RUN_PIN_IMMUTABLE", "RUN_PIN_IMMUTABLE", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING", "RUN_NOT_RUNNING",
        "RUN_NOT_RUNNING", "RUNNING 1", "HOLD 1", "RUN_NOT_RUNNING",
    ),
}  # fmt: skip


def asked_for(row: str) -> Command:
    verb, *step = row.split(" to ")
    stepping = {"advance": "advance_step", "roll back": "rollback_step"}
    return command(stepping[verb], to_step_index=int(step[0])) if step else command(f"{verb}_run")


@pytest.mark.parametrize(
    ("row", "state", "expected"),
    [(row, state, cell) for row, cells in TABLE.items() for state, cell in zip(RUNS, cells, strict=True)],
)
def test_every_command_in_every_state(row: str, state: str, expected: str) -> None:
    existing = RUNS[state]
    assert outcome(asked_for(row), facts(*[existing] if existing else [])) == expected


def test_every_command_is_in_the_table() -> None:
    assert {asked_for(row).name for row in TABLE} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", UserRole)
def test_who_asks_is_judged_before_what_is_asked(name: str, role: UserRole) -> None:
    """A role that may not ask learns nothing of the run, not even whether it exists."""
    asked = command(name, issued_by=USERS[role])
    said = {outcome(asked, facts(*[each] if each else [])) for each in RUNS.values()}
    if role in COMMANDS[name].roles:
        assert Code.ROLE_NOT_ALLOWED not in said
    else:
        assert said == {Code.ROLE_NOT_ALLOWED}


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_learns_nothing(name: str) -> None:
    said = {outcome(command(name, issued_by=STRANGER), facts(*[each] if each else [])) for each in RUNS.values()}
    assert said == {Code.UNKNOWN_USER}


@pytest.mark.parametrize("name", ["start_run", "advance_step"])
def test_an_operator_has_to_be_known(name: str) -> None:
    assert outcome(command(name, operator_id=STRANGER), facts(run("RUNNING"))) == Code.UNKNOWN_USER


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (None, Code.UNKNOWN_FLOW_VERSION),
        (FlowVersionStatus.DRAFT, Code.FLOW_VERSION_NOT_PUBLISHED),
        (FlowVersionStatus.REVIEW, Code.FLOW_VERSION_NOT_PUBLISHED),
        (FlowVersionStatus.DEPRECATED, Code.FLOW_VERSION_NOT_PUBLISHED),
    ],
)
@pytest.mark.parametrize("state", ["no run", "IDLE", "legacy IDLE"])
def test_a_run_starts_with_a_published_version(version: FlowVersionStatus | None, code: Code, state: str) -> None:
    existing = RUNS[state]
    versions = {VERSION: VersionFact(VERSION, FLOW, version, 1, PLAN)} if version else {}
    assert outcome(command("start_run"), facts(*[existing] if existing else [], versions=versions)) == code


def test_a_run_starts_with_a_valid_plan() -> None:
    with pytest.raises(PlanInvalid) as invalid:
        read_plan({"nodes": [], "edges": []})
    versions = {VERSION: VersionFact(VERSION, FLOW, FlowVersionStatus.PUBLISHED, 1, invalid.value)}
    with pytest.raises(PlanInvalid) as refusal:
        handle(command("start_run"), facts(versions=versions))
    assert refusal.value.facts["problems"][0]["code"] == Code.PLAN_EMPTY


def test_an_idle_run_keeps_its_pin() -> None:
    asked = command("start_run", flow_version_id=OTHER_VERSION)
    assert outcome(asked, facts(run("IDLE"))) == Code.RUN_PIN_IMMUTABLE
    assert handle(asked, facts(run("IDLE", legacy=True))).run.flow_version_id == OTHER_VERSION
