"""How a day went: the figures of the demo, and those of its lots."""

from collections import Counter
from dataclasses import asdict, dataclass

from runworker.demo.day.balance import balance
from runworker.demo.day.book import Day
from runworker.demo.day.evidence import DayEvidence
from runworker.demo.day.proof import LOTS
from runworker.demo.report import Figures, Report
from runworker.states import CommandStatus, LotStatus


@dataclass(frozen=True)
class DayFigures(Figures):
    """What `--json` prints of a day, all of it from the database. Kilograms are text, so that no digit is lost.

    holds: how often a lot went on HOLD. ccp_violations: how often because a limit said so. rejections: lots that were
    rejected. rollbacks: of runs. superseded: flow versions. recalled_lots, recalled_shipments: how many contain the
    recalled lot. mass_balance_error_kg: see balance.py.
    """

    lots: int
    genealogy_links: int
    qc_decisions: int
    holds: int
    ccp_violations: int
    rejections: int
    rollbacks: int
    superseded: int
    received_kg: str
    shipped_kg: str
    mass_balance_error_kg: str
    recalled: str | None
    recalled_lots: int
    recalled_shipments: int


def report_day(plain: Report, day: Day, evidence: DayEvidence) -> Report:
    """The report on runs and commands, with the figures of lots added."""
    kilograms = balance(day, evidence)
    became = Counter(event.status for event in evidence.events if event.entity == LOTS)
    applied = [row for row in evidence.plain.ledger if row.status == CommandStatus.APPLIED]
    rolled_back = {each.key for life in day.lives for each in life.script if each.command.name == "rollback_step"}
    recalled = evidence.recalled
    figures = DayFigures(
        **asdict(plain.figures),
        lots=len(evidence.lots),
        genealogy_links=len(evidence.links),
        qc_decisions=len(evidence.decisions),
        holds=became[LotStatus.HOLD],
        ccp_violations=sum(bool(verdict.get("ccp_violation")) for verdict in evidence.verdicts.values()),
        rejections=sum(lot.status == LotStatus.REJECTED for lot in evidence.lots),
        rollbacks=sum(row.idempotency_key in rolled_back for row in applied),
        superseded=sum(status == "DEPRECATED" for status in evidence.plain.versions.values()),
        received_kg=str(kilograms.received_kg),
        shipped_kg=str(kilograms.shipped_kg),
        mass_balance_error_kg=str(kilograms.error_kg),
        recalled=recalled.lot_code if recalled else None,
        recalled_lots=len(recalled.containing) if recalled else 0,
        recalled_shipments=len(recalled.shipments) if recalled else 0,
    )
    return Report(figures, plain.checks, plain.gave_up)
