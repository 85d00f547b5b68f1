"""Builds a day: its runs, what befalls them, and the change of a flow meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final
from uuid import UUID

from runworker.codes import Code
from runworker.simulation.builder import ScenarioBuilder
from runworker.simulation.day.incidents import Incident
from runworker.simulation.day.materials import MELL, SUPPLIERS
from runworker.simulation.day.stations import Stations
from runworker.simulation.master_data import MasterData, MasterDataPlan
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.scenario import SITE, BuiltScenario, ExpectedVerdict, VersionPlan
from runworker.states import CommandStatus, FlowVersionStatus, UserRole

BOTH: Final = "rods of 15 and 30"
FIFTEEN: Final = "rods of 15"
THIRTY: Final = "rods of 30"

SKUS: Final = {BOTH: ("15", "30"), FIFTEEN: ("15",), THIRTY: ("30",)}

DAY_DATA: Final = MasterDataPlan(
    # One SKU needs no split, boneless meat no deboning.
    flows={BOTH: (), FIFTEEN: (2, 6), THIRTY: (6,)},
    # The version that supersedes the first one mixes without a buffer.
    successors={THIRTY: (3, 6)},
    suppliers=SUPPLIERS,
)


@dataclass(frozen=True, slots=True)
class DaySize:
    """The number of runs of a day.

    eventful_runs: how many runs its incidents are dealt to. quiet_runs: how many there are besides, on two flows in
    turn. Four more are always there: one that breaks down, one that takes over what is left of it, and one before and
    one after the change of a flow.
    """

    eventful_runs: int
    quiet_runs: int


WHOLE_DAY: Final = DaySize(eventful_runs=6, quiet_runs=5)


def build_day(random: Random, data: MasterData, size: DaySize) -> BuiltScenario:
    """Write a day, runs one after the other; nothing but what is said here makes one wait for another.

    The same random state, data and size give the same one.
    """
    day = _Day(random, data)
    day.break_down()
    incidents = list(Incident)
    random.shuffle(incidents)
    for number in range(size.eventful_runs):
        day.run(BOTH, incidents[number :: size.eventful_runs])
    day.supersede()
    for number in range(size.quiet_runs):
        day.run((FIFTEEN, BOTH)[number % 2])
    return day.scenario.build()


class _Day:
    def __init__(self, random: Random, data: MasterData) -> None:
        self.scenario = ScenarioBuilder(data)
        self._random = random
        self._data = data

    def run(
        self,
        name: str,
        incidents: Sequence[Incident] = (),
        *,
        flow: VersionPlan | None = None,
        after: Sequence[UUID] = (),
    ) -> RunBuilder:
        """A whole run. name: of its flow; flow: a version of it that is not published from the beginning."""
        run = RunBuilder(self.scenario, flow or self._data.flows[name], after)
        Stations(run, self._random, SKUS[name], incidents).pass_all()
        return run

    def break_down(self) -> None:
        """A run is given up for a broken mixer, and another takes what is left of it in the buffer."""
        flow, lots = self._data.flows[BOTH], self.scenario.lots
        broken = RunBuilder(self.scenario, flow)
        stations = Stations(broken, self._random, SKUS[BOTH], breaks_down=True)
        stations.pass_all()
        [buffer] = stations.stock[MELL.name]
        carrier = RunBuilder(self.scenario, flow)
        Stations(carrier, self._random, SKUS[BOTH], carried=buffer).pass_all()
        boned = [lots[lot_id] for lot_id, _ in buffer.parents]
        received = [lots[lot_id] for lot in boned for lot_id, _ in lot.parents]
        # An abort finishes no lots, so somebody does when the other run has shipped what was made of them.
        broken.refuse("finish_lot", Code.CHILDREN_NOT_FINISHED, buffer, lot_id=received[0].id)
        for lot in (buffer, *boned, *received):
            broken.finish(lot)
        self.scenario.recalled = received[0].id

    def supersede(self) -> None:
        """A new version of a flow is sent back, handed in again and approved, between two runs of that flow."""
        old, new, move = self._data.flows[THIRTY], self._data.successors[THIRTY], self.scenario.move_version
        started = self.run(THIRTY).started_by
        reason = "The drawing lacks a word on where the mix is kept"
        move(new, "submit_flow_version", FlowVersionStatus.REVIEW)
        move(new, "reject_flow_version", FlowVersionStatus.DRAFT, reason=reason)
        move(new, "submit_flow_version", FlowVersionStatus.REVIEW)
        approved = move(new, "approve_flow_version", FlowVersionStatus.PUBLISHED, [started])
        self.scenario.supersede_version(old, approved)
        refused = ExpectedVerdict(CommandStatus.REJECTED, code=Code.FLOW_VERSION_NOT_PUBLISHED)
        fields = {"flow_version_id": old.version_id, "site_code": SITE, "after": [approved]}
        self.scenario.add_other("start_run", UserRole.OPERATOR, refused, **fields)
        self.run(THIRTY, flow=new, after=[approved])
