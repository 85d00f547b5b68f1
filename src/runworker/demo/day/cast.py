"""Brings in whom and what the day needs: people, suppliers, flows. All of this performance's own."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from runworker.demo.day.book import Cast
from runworker.demo.day.trade import SUPPLIERS
from runworker.demo.script import SOURCE, Flow
from runworker.imports import FlowFile, add_user, canonical_flow, import_flow, named
from runworker.models import Supplier
from runworker.plan import read_plan
from runworker.states import UserRole

BOTH: Final = "rods of 15 and 30"
FIFTEEN: Final = "rods of 15"
THIRTY: Final = "rods of 30"

LEFT_OUT: Final = {BOTH: (), FIFTEEN: (2, 6), THIRTY: (6,)}
"""Steps of the plant that a flow does without: one SKU needs no split, boneless meat no deboning."""

LEFT_OUT_BY_SUCCESSOR: Final = (3, 6)
"""The version of `rods of 30` that supersedes the first one mixes without a buffer."""


def enter(database: Engine, series: UUID) -> Cast:
    """Bring them in. The successor of `rods of 30` is a DRAFT."""
    with Session(database) as session, session.begin():
        people = {role: add_user(session, _email(role, series), role, SOURCE) for role in UserRole}
        suppliers = {material: _supplier(session, name, material, series) for material, name in SUPPLIERS.items()}
        flows = {name: _flow(session, name, left_out, series) for name, left_out in LEFT_OUT.items()}
        successor = _flow(session, THIRTY, LEFT_OUT_BY_SUCCESSOR, series, publish=False)
    return Cast(people, suppliers, flows, successor, series)


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


def _supplier(session: Session, name: str, material: str, series: UUID) -> UUID:
    supplier = Supplier(code=f"DEMO-{material}-{series.hex[:12]}", name=name)
    session.add(supplier)
    session.flush()
    return supplier.id


def _flow(session: Session, name: str, left_out: Collection[int], series: UUID, *, publish: bool = True) -> Flow:
    file = named(without(canonical_flow(), left_out), f"Demo {series}, {name}")
    imported = import_flow(session, file, email=_email(UserRole.MANAGER, series), publish=publish)
    return Flow(imported.flow_version_id, read_plan(file.graph))
