"""What the database says of the day's lots, read back as it is. Nothing is judged here."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, or_, select

from runworker.demo.day.book import Day
from runworker.demo.evidence import EventRow, Evidence, one_of, read_events, read_evidence
from runworker.demo.script import Claim
from runworker.models import Lot, LotGenealogy, QCDecision
from runworker.tracing import Containing, NotFound, recall


@dataclass(frozen=True, slots=True)
class LotRow:
    """A row of lots."""

    id: UUID
    lot_code: str
    lot_type: str | None
    status: str
    run_id: UUID | None
    step_index: int | None
    weight_kg: Decimal | None
    sku_type: str | None
    supplier_id: UUID | None
    temperature_c: Decimal | None


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A row of lot_genealogy."""

    id: UUID
    parent_id: UUID
    child_id: UUID
    kg: Decimal


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A row of qc_decisions."""

    id: UUID
    lot_id: UUID
    decision: str
    operator_id: UUID | None
    notes: str | None
    temperature_c: Decimal | None


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a recall found: ids of the lots that contain the recalled one, itself included, and shipments among them."""

    lot_code: str
    containing: frozenset[UUID]
    shipments: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class DayEvidence:
    """Everything the database has on a day.

    plain: on its runs and commands. lots: of its runs. links: from and to those lots. events: of lots, links,
    decisions and flow versions. verdicts: by key. recalled: None where the lot that is recalled is not there.
    """

    plain: Evidence
    lots: tuple[LotRow, ...]
    links: tuple[LinkRow, ...]
    decisions: tuple[DecisionRow, ...]
    events: tuple[EventRow, ...]
    verdicts: Mapping[UUID, Mapping[str, Any]]
    recalled: Recalled | None


def read_day(connection: Connection, claim: Claim, day: Day, *, queue: str) -> DayEvidence:
    """Read all there is on a day. queue: the one that its messages went through."""
    plain = read_evidence(connection, claim, queue=queue)
    lots = _lots(connection, day)
    ids = [lot.id for lot in lots]
    links, decisions = _links(connection, ids), _decisions(connection, ids)
    audited = [*ids, *(link.id for link in links), *(decision.id for decision in decisions), *day.version_trails]
    codes = [lot.lot_code for lot in lots if lot.id == day.recalled]
    return DayEvidence(
        plain,
        lots,
        links,
        decisions,
        events=read_events(connection, audited),
        verdicts={row.idempotency_key: row.verdict or {} for row in plain.ledger},
        recalled=_recalled(connection, codes[0]) if codes else None,
    )


def _lots(connection: Connection, day: Day) -> tuple[LotRow, ...]:
    found = select(
        Lot.id,
        Lot.lot_code,
        Lot.lot_type,
        Lot.status,
        Lot.production_run_id.label("run_id"),
        Lot.step_index,
        Lot.weight_kg,
        Lot.sku_type,
        Lot.supplier_id,
        Lot.temperature_c,
    ).where(or_(Lot.production_run_id == one_of([life.run_id for life in day.lives]), Lot.id == one_of(day.lots)))
    return tuple(LotRow(**row) for row in connection.execute(found).mappings())


def _links(connection: Connection, lots: list[UUID]) -> tuple[LinkRow, ...]:
    found = select(
        LotGenealogy.id,
        LotGenealogy.parent_lot_id.label("parent_id"),
        LotGenealogy.child_lot_id.label("child_id"),
        LotGenealogy.quantity_used_kg.label("kg"),
    ).where(or_(LotGenealogy.parent_lot_id == one_of(lots), LotGenealogy.child_lot_id == one_of(lots)))
    return tuple(LinkRow(**row) for row in connection.execute(found).mappings())


def _decisions(connection: Connection, lots: list[UUID]) -> tuple[DecisionRow, ...]:
    found = select(
        QCDecision.id,
        QCDecision.lot_id,
        QCDecision.decision,
        QCDecision.operator_id,
        QCDecision.notes,
        QCDecision.temperature_c,
    ).where(QCDecision.lot_id == one_of(lots))
    return tuple(DecisionRow(*row) for row in connection.execute(found))


def _recalled(connection: Connection, code: str) -> Recalled | None:
    try:
        found = recall(connection, code)
    except NotFound:
        return None
    containing = {kind: frozenset(lot.id for lot in lots) for kind, lots in found.containing.items()}
    return Recalled(code, frozenset().union(*containing.values()), containing[Containing.SHIPMENT])
