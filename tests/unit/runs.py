"""A run in any state, and what a handler knows of it and says to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.plant import REASON, STEPS, linear_graph

from runworker.commands import Command, parse
from runworker.errors import NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, Rules, RunFact, StepFact, VersionFact
from runworker.plan import SKIPPED_NODE_ID, read_plan
from runworker.states import FlowVersionStatus, RunStatus, StepExecutionStatus, UserRole

NOW = datetime(2026, 2, 1, 6, 0, tzinfo=UTC)
EARLIER = datetime(2026, 2, 1, 5, 0, tzinfo=UTC)
RUN, VERSION, OTHER_VERSION, FLOW, STRANGER = uuid4(), uuid4(), uuid4(), uuid4(), uuid4()
USERS = {role: uuid4() for role in UserRole}
ADMIN = USERS[UserRole.ADMIN]
PLAN = read_plan(linear_graph(STEPS))
VERSIONS = {id_: VersionFact(id_, FLOW, FlowVersionStatus.PUBLISHED, 3, PLAN) for id_ in (VERSION, OTHER_VERSION)}


def run(status: str, step: int = 0, *, legacy: bool = False) -> RunFact:
    """A run of the plan 0, 1, 3, 10 that stands at `step`; a legacy one has neither pin nor steps."""
    status = RunStatus(status)
    finished = {RunStatus.COMPLETED: "COMPLETED", RunStatus.ABORTED: "SKIPPED", RunStatus.ARCHIVED: "COMPLETED"}
    at_step = StepExecutionStatus(finished.get(status, "IN_PROGRESS"))
    later = StepExecutionStatus.SKIPPED if status is RunStatus.ABORTED else StepExecutionStatus.PENDING
    steps = []
    for index in range(11):
        if index not in STEPS:
            steps.append(StepFact(index, SKIPPED_NODE_ID, StepExecutionStatus.SKIPPED))
        elif index < step:
            steps.append(StepFact(index, f"node-{index}", StepExecutionStatus.COMPLETED, EARLIER, EARLIER, ADMIN))
        elif index == step:
            done = EARLIER if at_step is StepExecutionStatus.COMPLETED else None
            steps.append(StepFact(index, f"node-{index}", at_step, EARLIER, done, ADMIN))
        else:
            steps.append(StepFact(index, f"node-{index}", later))
    return RunFact(
        id=RUN,
        status=status,
        flow_version_id=None if legacy else VERSION,
        current_step_index=step,
        started_at=EARLIER,
        run_code="RUN-20260201-MAIN-0001",
        operator_id=ADMIN,
        steps=() if legacy or status is RunStatus.IDLE else tuple(steps),
    )


def facts(*runs: RunFact, default_site_code: str = "MAIN", **changed: Any) -> Facts:
    """What a handler knows of runs without lots."""
    known: dict[str, Any] = {
        "now": NOW,
        "rules": Rules(default_site_code, timedelta(days=30)),
        "users": {user: role for role, user in USERS.items()},
        "versions": VERSIONS,
        "plans": {VERSION: PLAN, OTHER_VERSION: PLAN},
        "runs": {each.id: each for each in runs},
        "lots": {},
        "lots_of_run": {},
        "unfinished_runs": {},
    }
    return Facts(**(known | changed))


def command(name: str, **fields: Any) -> Command:
    needed: dict[str, Any] = {"idempotency_key": uuid4(), "issued_by": ADMIN, "run_id": RUN}
    if name in ("start_run", "adopt_run"):
        needed["flow_version_id"] = VERSION
    if name == "adopt_run":
        needed["step_index"] = 1
    if name == "advance_step":
        needed["to_step_index"] = 1
    if name == "rollback_step":
        needed["to_step_index"] = 0
    if name in ("hold_run", "abort_run", "rollback_step", "adopt_run"):
        needed["reason"] = REASON
    if name == "resume_run":
        needed["resolution"] = REASON
    return parse(name, needed | fields)


def outcome(asked: Command, known: Facts) -> str:
    """The state that the run goes to with its step, the code of the refusal, or what is waited for."""
    try:
        became = handle(asked, known).run
    except Rejected as rejection:
        return str(rejection.code)
    except NotYet as wait:
        waits_for = [str(value) for name, value in wait.waiting_for.items() if name != "run_id"]
        return f"waits: {' '.join(waits_for) or 'run'}" if wait.blocked_on == (RUN,) else f"waits: {wait.blocked_on}"
    return f"{became.status} {became.current_step_index}"
