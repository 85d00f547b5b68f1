"""Lots, runs and flow versions in any state, and what a handler says of them. The plan is the plant's own."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from tests.plant import REASON

from runworker.commands import Command, parse
from runworker.errors import NotYet, Rejected
from runworker.handlers import handle
from runworker.handlers.facts import Facts, LotFact, Outcome, Rules, RunFact, StepFact, VersionFact
from runworker.imports import canonical_flow
from runworker.plan import Plan, read_plan
from runworker.states import FlowVersionStatus, LotStatus, LotType, RunStatus, StepExecutionStatus, UserRole

NOW = datetime(2026, 2, 1, 6, 0, tzinfo=UTC)
EARLIER = datetime(2026, 2, 1, 5, 0, tzinfo=UTC)
RETENTION = timedelta(days=30)
RUN, OTHER_RUN, VERSION, FLOW, STRANGER = uuid4(), uuid4(), uuid4(), uuid4(), uuid4()
LOT, CHILD = uuid4(), uuid4()
USERS = {role: uuid4() for role in UserRole}
ADMIN = USERS[UserRole.ADMIN]
PLAN = read_plan(canonical_flow().graph)


def run(status: str = "RUNNING", step: int = 1, **fields: Any) -> RunFact:
    """A run of the plant's own plan that stands at `step`."""
    steps = []
    for index in range(11):
        state = "COMPLETED" if index < step else "IN_PROGRESS" if index == step else "PENDING"
        begun = EARLIER if index <= step else None
        done = EARLIER if index < step else None
        steps.append(
            StepFact(index, f"node-{index}", StepExecutionStatus(state), begun, done, ADMIN if begun else None)
        )
    known: dict[str, Any] = {
        "id": RUN,
        "status": RunStatus(status),
        "flow_version_id": VERSION,
        "current_step_index": step,
        "started_at": EARLIER,
        "run_code": "RUN-20260201-MAIN-0001",
        "operator_id": ADMIN,
        "steps": () if status == "IDLE" else tuple(steps),
    }
    return RunFact(**(known | fields))


def lot(status: str = "RELEASED", lot_type: str | None = "RAW", step: int | None = 1, **fields: Any) -> LotFact:
    """A lot of 100 kg of the run; its SKU is that of its type."""
    known: dict[str, Any] = {
        "id": LOT,
        "lot_code": f"{lot_type}-20260201-MAIN-0001",
        "lot_type": LotType(lot_type) if lot_type else None,
        "status": LotStatus(status),
        "run_id": RUN,
        "step_index": step,
        "weight_kg": Decimal(100),
        "sku_type": lot_type[-2:] if lot_type and lot_type.endswith(("15", "30")) else None,
    }
    return LotFact(**(known | fields))


def version(status: str = "PUBLISHED", id_: UUID = VERSION, plan: Plan | Rejected = PLAN, **fields: Any) -> VersionFact:
    """A version of the one flow."""
    return VersionFact(**({"id": id_, "flow_definition_id": FLOW, "status": FlowVersionStatus(status), "version_num": 1,
                       "plan": plan} | fields))  # fmt: skip


def facts(
    *known: LotFact | RunFact | VersionFact, plan: Plan | Rejected = PLAN, unfinished: int = 0, site: str = "MAIN"
) -> Facts:
    """What a handler knows: these, the plant's people, and the plan that the run is pinned to."""
    lots = {each.id: each for each in known if isinstance(each, LotFact)}
    of_run: dict[UUID, list[UUID]] = {}
    for each in lots.values():
        if each.run_id is not None:
            of_run.setdefault(each.run_id, []).append(each.id)
    return Facts(
        now=NOW,
        rules=Rules(site, RETENTION),
        users={user: role for role, user in USERS.items()},
        versions={each.id: each for each in known if isinstance(each, VersionFact)},
        plans={VERSION: plan},
        runs={each.id: each for each in known if isinstance(each, RunFact)},
        lots=lots,
        lots_of_run=of_run,
        unfinished_runs={VERSION: unfinished},
    )


NEEDED: dict[str, dict[str, Any]] = {
    "rollback_step": {"run_id": RUN, "to_step_index": 0, "reason": REASON},
    "archive_run": {"run_id": RUN},
    "advance_step": {"run_id": RUN, "to_step_index": 2},
    "complete_run": {"run_id": RUN},
    "register_lot": {"run_id": RUN, "step_index": 1, "lot_type": "RAW", "lot_id": LOT, "weight_kg": "100"},
    "record_qc_decision": {"lot_id": LOT, "decision": "PASS"},
    "resolve_hold": {"lot_id": LOT, "resolution": REASON},
    "reject_lot": {"lot_id": LOT, "reason": REASON},
    "consume_lot": {"lot_id": LOT, "into_lot_id": CHILD, "quantity_used_kg": "40"},
    "finish_lot": {"lot_id": LOT},
    "adopt_lot": {"lot_id": LOT, "lot_type": "RAW", "reason": REASON},
    "submit_flow_version": {"flow_version_id": VERSION},
    "approve_flow_version": {"flow_version_id": VERSION},
    "reject_flow_version": {"flow_version_id": VERSION, "reason": REASON},
    "deprecate_flow_version": {"flow_version_id": VERSION},
}
"""What each command needs beside key and issuer."""


def command(name: str, **fields: Any) -> Command:
    """A command by the administrator, read as from a message."""
    return parse(name, {"idempotency_key": uuid4(), "issued_by": ADMIN} | NEEDED[name] | fields)


def parents(*wanted: tuple[UUID, str]) -> list[dict[str, Any]]:
    """Parents of a registration, as a message lists them."""
    return [{"lot_id": id_, "quantity_used_kg": kg} for id_, kg in wanted]


def applied(asked: Command, known: Facts) -> Outcome:
    """What the command makes of the facts."""
    return handle(asked, known)


def said(asked: Command, known: Facts) -> str:
    """What becomes of the lot, run or version asked about: its state, the refusal's code, or what is waited for."""
    try:
        outcome = handle(asked, known)
    except Rejected as rejection:
        return str(rejection.code)
    except NotYet as wait:
        return f"waits: {' '.join(wait.waiting_for)}"
    return " ".join(states([*outcome.lots[:1], *outcome.versions[-1:]])) or _of_run(outcome.run)


def states(entities: Iterable[LotFact | VersionFact]) -> list[str]:
    """Their states in order."""
    return [str(each.status) for each in entities]


def _of_run(became: RunFact | None) -> str:
    assert became is not None
    return f"{became.status} {became.current_step_index}"
