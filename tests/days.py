"""Days of the demo, and what a database would say of one that went as planned."""

from functools import cache
from random import Random
from uuid import UUID, uuid5

from runworker.imports import canonical_flow
from runworker.plan import read_plan
from runworker.simulation.database_state import (
    CommandRow,
    DatabaseState,
    DecisionRow,
    EventRow,
    LinkRow,
    LotRow,
    RecallResult,
)
from runworker.simulation.day import DAY_DATA, WHOLE_DAY, DaySize, build_day
from runworker.simulation.master_data import MasterData, MasterDataPlan, without
from runworker.simulation.scenario import BuiltScenario, VersionPlan
from runworker.states import LotType, UserRole

SMALL = DaySize(eventful_runs=1, quiet_runs=0)
SERIES = UUID(int=1)


def version(number: int, left_out: tuple[int, ...]) -> VersionPlan:
    return VersionPlan(UUID(int=number), read_plan(without(canonical_flow(), left_out).graph))


def master_data(plan: MasterDataPlan, series: UUID = SERIES) -> MasterData:
    """Master data that is in no database."""
    return MasterData(
        people={role: UUID(int=100 + number) for number, role in enumerate(UserRole)},
        suppliers={goods: UUID(int=200 + number) for number, goods in enumerate(plan.suppliers)},
        flows={name: version(300 + number, left_out) for number, (name, left_out) in enumerate(plan.flows.items())},
        successors={name: version(400, left_out) for name, left_out in plan.successors.items()},
        series=series,
    )


@cache
def day(seed: int = 1, size: DaySize = WHOLE_DAY, series: UUID = SERIES) -> BuiltScenario:
    return build_day(Random(seed), master_data(DAY_DATA, series), size)  # noqa: S311 - a plan to repeat, not a secret


def state_of(day: BuiltScenario) -> DatabaseState:
    """What is read back where all went as planned. Runs are left out, and of commands all but what lots are told."""
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
        verdicts[lot.registered_by] = {} if lot.gained_kg is None else {"gained_kg": str(lot.gained_kg)}
    shipments = frozenset(lot_id for lot_id in day.containing if day.lots[lot_id].lot_type is LotType.SHIP)
    return DatabaseState(
        versions=(),
        runs=(),
        steps=(),
        ledger=tuple(CommandRow(key, None, "APPLIED", None, verdict, 1) for key, verdict in verdicts.items()),
        events=tuple(events),
        dead_letters=(),
        lots=lots,
        links=links,
        decisions=decisions,
        recalled=RecallResult("RAW-1", frozenset(day.containing), shipments),
    )
