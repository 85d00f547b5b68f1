"""Commands about flow versions. Rules: the domain reference, "Flow version"."""

from uuid import UUID

from runworker.commands.base import MANAGEMENT, Command, Reason
from runworker.states import UserRole


class SubmitFlowVersion(Command):
    """Hand a DRAFT in for review."""

    name = "submit_flow_version"
    roles = MANAGEMENT

    flow_version_id: UUID


class ApproveFlowVersion(Command):
    """Publish a version under review; the flow's published one is superseded in the same transaction."""

    name = "approve_flow_version"
    roles = MANAGEMENT

    flow_version_id: UUID


class RejectFlowVersion(Command):
    """Send a version under review back to its author."""

    name = "reject_flow_version"
    roles = MANAGEMENT

    flow_version_id: UUID
    reason: Reason


class DeprecateFlowVersion(Command):
    """Withdraw a PUBLISHED version that no unfinished run is pinned to."""

    name = "deprecate_flow_version"
    roles = frozenset({UserRole.ADMIN})

    flow_version_id: UUID
    reason: Reason | None = None


FLOW_COMMANDS: tuple[type[Command], ...] = (
    SubmitFlowVersion,
    ApproveFlowVersion,
    RejectFlowVersion,
    DeprecateFlowVersion,
)
