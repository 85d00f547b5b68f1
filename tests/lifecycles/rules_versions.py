"""The rules of a flow version, told once more."""

from typing import Any

from tests.lifecycles.world import Done, Version, World, refuse_if


def _submit(command: Any, world: World) -> Done:
    version = _in(command, world, "DRAFT")
    refuse_if(not version.plan, "PLAN_INVALID")
    return _becomes("REVIEW", version, command)


def _approve(command: Any, world: World) -> Done:
    version = _in(command, world, "REVIEW")
    refuse_if(not version.plan, "PLAN_INVALID")
    touched = {command.flow_version_id}
    for id_, other in world.versions.items():
        if other.flow == version.flow and other.status == "PUBLISHED":
            _becomes("DEPRECATED", other, command)
            touched.add(id_)
    return Done(touched, _becomes("PUBLISHED", version, command).told)


def _reject(command: Any, world: World) -> Done:
    return _becomes("DRAFT", _in(command, world, "REVIEW"), command)


def _deprecate(command: Any, world: World) -> Done:
    version = _in(command, world, "PUBLISHED")
    pinned = [run for run in world.runs.values() if run.version == command.flow_version_id]
    refuse_if(not all(run.is_over for run in pinned), "FLOW_VERSION_IN_USE")
    return _becomes("DEPRECATED", version, command)


def _in(command: Any, world: World, status: str) -> Version:
    version = world.versions.get(command.flow_version_id)
    refuse_if(version is None, "UNKNOWN_FLOW_VERSION")
    refuse_if(version.status != status, "FLOW_VERSION_ILLEGAL_MOVE")
    return version


def _becomes(status: str, version: Version, command: Any) -> Done:
    version.status = status
    version.changed_by.append(command.idempotency_key)
    return Done({command.flow_version_id}, {"flow_version_status": status})


ACTS_ON_VERSIONS = {
    "submit_flow_version": _submit,
    "approve_flow_version": _approve,
    "reject_flow_version": _reject,
    "deprecate_flow_version": _deprecate,
}
