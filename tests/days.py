"""Days of the demo, and what a database would say of one that went as its script has it."""

from functools import cache
from random import Random
from uuid import UUID, uuid5

from runworker.demo.day.book import Cast, Day
from runworker.demo.day.cast import LEFT_OUT, LEFT_OUT_BY_SUCCESSOR, without
from runworker.demo.day.evidence import DayEvidence, DecisionRow, LinkRow, LotRow, Recalled
from runworker.demo.day.scenario import WHOLE_DAY, Size, write_day
from runworker.demo.day.trade import MATERIALS
from runworker.demo.evidence import EventRow, Evidence
from runworker.demo.script import Flow
from runworker.imports import canonical_flow
from runworker.plan import read_plan
from runworker.states import LotType, UserRole

SMALL = Size(eventful_runs=1, quiet_runs=0)


def flow(number: int, left_out: tuple[int, ...]) -> Flow:
    return Flow(UUID(int=number), read_plan(without(canonical_flow(), left_out).graph))


SERIES = UUID(int=1)


def cast(series: UUID = SERIES) -> Cast:
    """A cast that is in no database."""
    return Cast(
        people={role: UUID(int=100 + number) for number, role in enumerate(UserRole)},
        suppliers={material.name: UUID(int=200 + number) for number, material in enumerate(MATERIALS)},
        flows={name: flow(300 + number, left_out) for number, (name, left_out) in enumerate(LEFT_OUT.items())},
        successor=flow(400, LEFT_OUT_BY_SUCCESSOR),
        series=series,
    )


@cache
def day(seed: int = 1, size: Size = WHOLE_DAY, series: UUID = SERIES) -> Day:
    return write_day(Random(seed), cast(series), size)  # noqa: S311 - a plan to repeat, not a secret


def evidence_of(day: Day) -> DayEvidence:
    """What is read back where all went as scripted. Runs and commands are left out."""
    lots = tuple(
        LotRow(
            lot.id,
            f"{lot.lot_type}-{lot.id}",
            str(lot.lot_type),
            str(lot.status),
            lot.run_id,
            lot.step_index,
            lot.weight_kg,
            lot.sku_type,
            lot.supplier_id,
            lot.temperature_c,
        )
        for lot in day.lots.values()
    )
    links = tuple(
        LinkRow(uuid5(child, str(number)), parent, child, kg)
        for number, (parent, child, kg) in enumerate(day.links.elements())
    )
    decisions = tuple(
        DecisionRow(each.key, each.lot_id, str(each.decision), each.operator_id, each.notes, each.temperature_c)
        for each in day.decisions.values()
    )
    events = [
        EventRow("lots", lot.id, sorted(keys)[0], str(status), None)
        for lot in day.lots.values()
        for status, keys in lot.trail
    ]
    events += [
        EventRow("flow_versions", version_id, key, str(status), None)
        for version_id, trail in day.version_trails.items()
        for status, key in trail
    ]
    events += [EventRow("lot_genealogy", link.id, None, None, None) for link in links]
    events += [EventRow("qc_decisions", decision.id, None, None, None) for decision in decisions]
    verdicts: dict[UUID, dict[str, object]] = {
        key: {"ccp_violation": each.too_warm} for key, each in day.decisions.items()
    }
    for lot in day.lots.values():
        [key] = lot.trail[0][1]
        verdicts[key] = {} if lot.gained_kg is None else {"gained_kg": str(lot.gained_kg)}
    shipments = frozenset(lot_id for lot_id in day.containing if day.lots[lot_id].lot_type is LotType.SHIP)
    return DayEvidence(
        Evidence({}, (), (), (), (), ()),
        lots,
        links,
        decisions,
        tuple(events),
        verdicts,
        Recalled("RAW-1", frozenset(day.containing), shipments),
    )
