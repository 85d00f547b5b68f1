"""Brings in the people, suppliers and flows that a scenario needs, all of them its own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from runworker.imports import FlowFile, add_user, canonical_flow, import_flow, named
from runworker.models import Supplier
from runworker.plan import read_plan
from runworker.simulation.scenario import SOURCE, VersionPlan
from runworker.states import UserRole

PLANT_FLOW: Final = "all steps of the plant"


@dataclass(frozen=True, slots=True)
class MasterData:
    """Ids of all that commands refer to: people by role, published flows by name, suppliers' ids by what they bring.

    series: names this use of the scenario; all ids derive from it, so that the same scenario can be sent again to the
    same database. successors: DRAFT versions by the name of the flow whose published one they may supersede.
    """

    people: Mapping[UserRole, UUID]
    flows: Mapping[str, VersionPlan]
    series: UUID
    suppliers: Mapping[str, UUID] = field(default_factory=dict)
    successors: Mapping[str, VersionPlan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MasterDataPlan:
    """Master data to bring in: names of suppliers by what they bring, and flows by name.

    flows, successors: steps of the plant's own flow that each does without.
    """

    flows: Mapping[str, Collection[int]]
    successors: Mapping[str, Collection[int]] = field(default_factory=dict)
    suppliers: Mapping[str, str] = field(default_factory=dict)


ONE_FLOW: Final = MasterDataPlan({PLANT_FLOW: ()})


def bring_in(database: Engine, series: UUID, plan: MasterDataPlan = ONE_FLOW) -> MasterData:
    """Write it all into a database, as the tables' owner."""
    with Session(database) as session, session.begin():
        people = {role: add_user(session, _email(role, series), role, SOURCE) for role in UserRole}
        suppliers = {goods: _supplier(session, name, goods, series) for goods, name in plan.suppliers.items()}
        flows = {name: _flow(session, name, gone, series) for name, gone in plan.flows.items()}
        drafts = {name: _flow(session, name, gone, series, publish=False) for name, gone in plan.successors.items()}
    return MasterData(people, flows, series, suppliers, drafts)


def without(file: FlowFile, indices: Collection[int]) -> FlowFile:
    """The flow without the steps of these indices: what led to one leads to what came after it."""
    graph: dict[str, Any] = file.graph
    gone = {node["id"] for node in graph["nodes"] if node["data"].get("stepIndex") in indices}
    edges = graph["edges"]
    for node_id in gone:
        [following] = [edge["target"] for edge in edges if edge["source"] == node_id]
        edges = [
            edge | {"target": following} if edge["target"] == node_id else edge
            for edge in edges
            if edge["source"] != node_id
        ]
    nodes = [node for node in graph["nodes"] if node["id"] not in gone]
    return replace(file, graph=graph | {"nodes": nodes, "edges": edges})


def _email(role: UserRole, series: UUID) -> str:
    return f"demo-{role.lower()}-{series}@example.com"


def _supplier(session: Session, name: str, goods: str, series: UUID) -> UUID:
    supplier = Supplier(code=f"DEMO-{goods}-{series.hex[:12]}", name=name)
    session.add(supplier)
    session.flush()
    return supplier.id


def _flow(session: Session, name: str, gone: Collection[int], series: UUID, *, publish: bool = True) -> VersionPlan:
    file = named(without(canonical_flow(), gone), f"Demo {series}, {name}")
    imported = import_flow(session, file, email=_email(UserRole.MANAGER, series), publish=publish)
    return VersionPlan(imported.flow_version_id, read_plan(file.graph))
