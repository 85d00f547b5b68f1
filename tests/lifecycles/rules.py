"""Who may do what, and where the rules of it stand."""

from collections.abc import Mapping

from tests.lifecycles.rules_lots import ACTS_ON_LOTS
from tests.lifecycles.rules_runs import ACTS_ON_RUNS
from tests.lifecycles.rules_versions import ACTS_ON_VERSIONS
from tests.lifecycles.world import SHOP_FLOOR, Done, World, refuse_if

from runworker.commands import Command

MAY: Mapping[str, str] = {
    "start_run": SHOP_FLOOR,
    "advance_step": SHOP_FLOOR,
    "rollback_step": "ADMIN MANAGER",
    "hold_run": "ADMIN MANAGER OPERATOR AUDITOR",
    "resume_run": "ADMIN MANAGER",
    "complete_run": SHOP_FLOOR,
    "abort_run": "ADMIN MANAGER",
    "archive_run": "ADMIN",
    "register_lot": SHOP_FLOOR,
    "record_qc_decision": "ADMIN MANAGER AUDITOR OPERATOR",
    "resolve_hold": "ADMIN MANAGER",
    "reject_lot": "ADMIN MANAGER",
    "consume_lot": SHOP_FLOOR,
    "finish_lot": SHOP_FLOOR,
    "submit_flow_version": "ADMIN MANAGER",
    "approve_flow_version": "ADMIN MANAGER",
    "reject_flow_version": "ADMIN MANAGER",
    "deprecate_flow_version": "ADMIN",
}

ACTS = {**ACTS_ON_RUNS, **ACTS_ON_LOTS, **ACTS_ON_VERSIONS}


def judge(command: Command, world: World) -> Done:
    """Let the command act. Raises Refused, Early or Sunk; then the world is as it was."""
    refuse_if(command.issued_by not in world.users, "UNKNOWN_USER")
    refuse_if(world.users[command.issued_by] not in MAY[command.name].split(), "ROLE_NOT_ALLOWED")
    return ACTS[command.name](command, world)
