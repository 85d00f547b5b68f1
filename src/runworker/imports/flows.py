"""A flow file becomes a version of a flow, and the version in force where that is asked for.

Decisions: a flow is recognized by its whole name, in all languages, and a file of the same name adds a version to it.
Every import is a version of its own, the same graph again as well: who brought it, and when, is part of the record. A
version that is not published stays a DRAFT.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from runworker.codes import Code
from runworker.errors import Rejected
from runworker.imports.files import FlowFile
from runworker.imports.refusal import ImportRefused
from runworker.imports.users import find_user, require_role
from runworker.models import FlowDefinition, FlowVersion, FlowVersionStatus, User, UserRole
from runworker.plan import find_problems

MAY_PUBLISH: Final = frozenset({UserRole.ADMIN, UserRole.MANAGER})
MAY_DRAFT: Final = frozenset(UserRole) - {UserRole.VIEWER}

_ONE_IMPORT_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=int.from_bytes(b"runwflow"))


@dataclass(frozen=True, slots=True)
class ImportedFlow:
    """Where an import went. superseded: number of the version that was in force before and is DEPRECATED now."""

    flow_definition_id: UUID
    flow_version_id: UUID
    version_num: int
    status: FlowVersionStatus
    superseded: int | None


def import_flow(session: Session, file: FlowFile, *, email: str, publish: bool) -> ImportedFlow:
    """Write the file's graph as the next version of the flow of that name, which is made when there is none.

    publish: take the version through REVIEW to PUBLISHED and deprecate the one it replaces. email: of the user who
    asks; publishing needs ADMIN or MANAGER, a DRAFT anybody but a VIEWER.
    Raises ImportRefused for a graph that is no plan, with every problem, and for a name that several flows share;
    Rejected (UNKNOWN_USER, ROLE_NOT_ALLOWED) for who asks.
    """
    user = find_user(session, email)
    require_role(user, MAY_PUBLISH if publish else MAY_DRAFT, "publishing a flow" if publish else "importing a flow")
    if file.name is None:
        raise ImportRefused("The flow has no name, and a bare graph brings none: give one with --name.")
    problems = find_problems(file.graph)
    if problems:
        raise ImportRefused("The graph gives no valid plan:", problems)
    session.execute(_ONE_IMPORT_AT_A_TIME)
    flow = _flow_named(session, file.name, file.description, user)
    version = FlowVersion(
        flow_definition_id=flow.id,
        version_num=_next_number(session, flow.id),
        status=FlowVersionStatus.DRAFT.value,
        graph_schema=file.graph,
        created_by=user.id,
    )
    session.add(version)
    session.flush()
    superseded = _publish(session, version, user) if publish else None
    status = FlowVersionStatus.PUBLISHED if publish else FlowVersionStatus.DRAFT
    return ImportedFlow(flow.id, version.id, version.version_num, status, superseded)


def discard_draft(session: Session, version_id: UUID, *, email: str) -> int:
    """Delete a version that is still a DRAFT. Returns its number.

    Raises Rejected: UNKNOWN_FLOW_VERSION, FLOW_VERSION_IMMUTABLE for one that is no DRAFT, and for who asks.
    """
    require_role(find_user(session, email), MAY_DRAFT, "discarding a draft")
    version = session.scalars(select(FlowVersion).where(FlowVersion.id == version_id).with_for_update()).one_or_none()
    if version is None:
        raise Rejected(Code.UNKNOWN_FLOW_VERSION, f"no flow version has the id {version_id}")
    if version.status != FlowVersionStatus.DRAFT:
        raise Rejected(
            Code.FLOW_VERSION_IMMUTABLE, f"flow version {version_id} is {version.status}; only a DRAFT is discarded"
        )
    session.delete(version)
    return version.version_num


def _flow_named(session: Session, name: dict[str, str], description: str | None, user: User) -> FlowDefinition:
    named = select(FlowDefinition).where(FlowDefinition.name == name).order_by(FlowDefinition.created_at)
    found = session.scalars(named.with_for_update()).all()
    if len(found) > 1:
        ids = ", ".join(str(flow.id) for flow in found)
        raise ImportRefused(f"{len(found)} flows have this name ({ids}); rename all but one of them.")
    if found:
        if description is not None:
            found[0].description = description
        return found[0]
    flow = FlowDefinition(name=name, description=description, created_by=user.id)
    session.add(flow)
    session.flush()
    return flow


def _next_number(session: Session, flow_id: UUID) -> int:
    highest = select(func.coalesce(func.max(FlowVersion.version_num), 0)).where(
        FlowVersion.flow_definition_id == flow_id
    )
    return session.scalars(highest).one() + 1


def _publish(session: Session, version: FlowVersion, user: User) -> int | None:
    in_force = session.execute(
        select(FlowVersion.id, FlowVersion.version_num).where(
            FlowVersion.flow_definition_id == version.flow_definition_id,
            FlowVersion.status == FlowVersionStatus.PUBLISHED,
        )
    ).one_or_none()
    _move(session, version.id, FlowVersionStatus.DRAFT, FlowVersionStatus.REVIEW)
    if in_force is not None:
        _move(session, in_force.id, FlowVersionStatus.PUBLISHED, FlowVersionStatus.DEPRECATED)
    publication = {"reviewed_by": user.id, "published_by": user.id, "published_at": func.now()}
    _move(session, version.id, FlowVersionStatus.REVIEW, FlowVersionStatus.PUBLISHED, **publication)
    return in_force.version_num if in_force is not None else None


def _move(
    session: Session, version_id: UUID, source: FlowVersionStatus, target: FlowVersionStatus, **also: Any
) -> None:
    """Move a version, from the state it is in as far as we know."""
    moved = session.execute(
        update(FlowVersion)
        .where(FlowVersion.id == version_id, FlowVersion.status == source)
        .values(status=target.value, **also)
        .returning(FlowVersion.id)
        .execution_options(synchronize_session=False)
    )
    if moved.one_or_none() is None:
        raise Rejected(
            Code.FLOW_VERSION_ILLEGAL_MOVE,
            f"flow version {version_id} is no longer {source}, somebody else moved it; nothing was imported, try again",
        )
