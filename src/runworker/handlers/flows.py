"""Use cases of flow versions. Rules: the domain reference, "Flow version"."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from runworker.codes import Code
from runworker.commands import (
    ApproveFlowVersion,
    Command,
    DeprecateFlowVersion,
    RejectFlowVersion,
    SubmitFlowVersion,
)
from runworker.errors import Rejected
from runworker.handlers.facts import Facts, Outcome, VersionFact
from runworker.states import FLOW_VERSION_MOVES, FlowVersionStatus


def submit_flow_version(command: SubmitFlowVersion, facts: Facts) -> Outcome:
    """Hand a DRAFT with a valid plan in for review."""
    return Outcome(versions=(_with_valid_plan(_moved(command.flow_version_id, FlowVersionStatus.REVIEW, facts)),))


def approve_flow_version(command: ApproveFlowVersion, facts: Facts) -> Outcome:
    """Publish; the flow's published version, if there is one, is superseded. Runs pinned to it go on."""
    version = _with_valid_plan(_moved(command.flow_version_id, FlowVersionStatus.PUBLISHED, facts))
    published = replace(version, reviewed_by=command.issued_by, published_by=command.issued_by, published_at=facts.now)
    superseded = tuple(
        replace(other, status=FlowVersionStatus.DEPRECATED)
        for other in facts.versions.values()
        if other.flow_definition_id == version.flow_definition_id
        and other.id != version.id
        and other.status is FlowVersionStatus.PUBLISHED
    )
    return Outcome(versions=(*superseded, published), state={"superseded": [str(other.id) for other in superseded]})


def reject_flow_version(command: RejectFlowVersion, facts: Facts) -> Outcome:
    """Send a version under review back; the reason stays in the command's ledger row and audit event."""
    version = _existing(command.flow_version_id, facts)
    if version.status is not FlowVersionStatus.REVIEW:
        raise _illegal(version, FlowVersionStatus.DRAFT)
    return Outcome(
        versions=(replace(version, status=FlowVersionStatus.DRAFT, reviewed_by=command.issued_by),),
        state={"reason": command.reason},
    )


def deprecate_flow_version(command: DeprecateFlowVersion, facts: Facts) -> Outcome:
    """Withdraw a published version, unless unfinished runs are pinned to it."""
    version = _moved(command.flow_version_id, FlowVersionStatus.DEPRECATED, facts)
    if unfinished := facts.unfinished_runs.get(version.id, 0):
        raise Rejected(
            Code.FLOW_VERSION_IN_USE,
            f"{unfinished} unfinished runs are pinned to flow version {version.id}",
            unfinished_runs=unfinished,
        )
    return Outcome(versions=(version,))


FLOW_HANDLERS: Mapping[type[Command], Callable[[Any, Facts], Outcome]] = {
    SubmitFlowVersion: submit_flow_version,
    ApproveFlowVersion: approve_flow_version,
    RejectFlowVersion: reject_flow_version,
    DeprecateFlowVersion: deprecate_flow_version,
}


def _existing(version_id: UUID, facts: Facts) -> VersionFact:
    version = facts.versions.get(version_id)
    if version is None:
        raise Rejected(Code.UNKNOWN_FLOW_VERSION, f"no flow version has the id {version_id}")
    return version


def _moved(version_id: UUID, target: FlowVersionStatus, facts: Facts) -> VersionFact:
    version = _existing(version_id, facts)
    if target not in FLOW_VERSION_MOVES[version.status]:
        raise _illegal(version, target)
    return replace(version, status=target)


def _illegal(version: VersionFact, target: FlowVersionStatus) -> Rejected:
    allowed = " or ".join(str(status) for status, targets in FLOW_VERSION_MOVES.items() if target in targets)
    return Rejected(
        Code.FLOW_VERSION_ILLEGAL_MOVE,
        f"flow version {version.id} is {version.status} and cannot become {target}: it has to be {allowed}",
        flow_version_status=str(version.status),
    )


def _with_valid_plan(version: VersionFact) -> VersionFact:
    if isinstance(version.plan, Rejected):
        raise version.plan
    return version
