"""Collects a scenario: commands with keys of their own, runs and lots, and what becomes of flow versions."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid5

from runworker.commands import parse
from runworker.simulation.master_data import MasterData
from runworker.simulation.scenario import (
    SOURCE,
    BuiltScenario,
    ExpectedVerdict,
    PlannedCommand,
    PlannedDecision,
    PlannedLot,
    PlannedRun,
    VersionPlan,
)
from runworker.states import CommandStatus, FlowVersionStatus, UserRole


class ScenarioBuilder:
    """Takes what `RunBuilder` writes of each run, and writes itself what is about no run.

    recalled: id of the lot that is recalled in the end.
    """

    def __init__(self, data: MasterData) -> None:
        self.data = data
        self.lots: dict[UUID, PlannedLot] = {}
        self.decisions: dict[UUID, PlannedDecision] = {}
        self.recalled: UUID | None = None
        self._runs: list[tuple[UUID, VersionPlan, list[PlannedCommand]]] = []
        self._others: list[PlannedCommand] = []
        self._version_trails: dict[UUID, list[tuple[FlowVersionStatus, UUID]]] = {}

    def build(self) -> BuiltScenario:
        """All that has been written."""
        published = {flow.version_id: FlowVersionStatus.PUBLISHED for flow in self.data.flows.values()}
        moved = {version_id: trail[-1][0] for version_id, trail in self._version_trails.items()}
        return BuiltScenario(
            runs=tuple(PlannedRun(run_id, flow, tuple(commands)) for run_id, flow, commands in self._runs),
            versions=published | moved,
            others=tuple(self._others),
            lots=self.lots,
            decisions=self.decisions,
            version_trails=self._version_trails,
            recalled=self.recalled,
        )

    def add_run(self, flow: VersionPlan, commands: list[PlannedCommand]) -> tuple[UUID, str]:
        """Take in a run, whose commands may still grow. Returns its id and its name within the scenario."""
        place = f"run {len(self._runs)}"
        run_id = uuid5(self.data.series, place)
        self._runs.append((run_id, flow, commands))
        return run_id, place

    def command(self, name: str, place: str, by: UserRole, expected: ExpectedVerdict, **fields: Any) -> PlannedCommand:
        """A command with a key of its own. place: names it among all commands of the scenario."""
        common = {
            "idempotency_key": uuid5(self.data.series, place),
            "issued_by": self.data.people[by],
            "source": SOURCE,
        }
        return PlannedCommand(parse(name, common | fields), expected)

    def add_other(self, name: str, by: UserRole, expected: ExpectedVerdict, **fields: Any) -> UUID:
        """Write a command about none of the runs. Returns its key."""
        planned = self.command(name, f"other {len(self._others)}", by, expected, **fields)
        self._others.append(planned)
        return planned.key

    def move_version(
        self, flow: VersionPlan, name: str, status: FlowVersionStatus, after: Iterable[UUID] = (), **fields: Any
    ) -> UUID:
        """Write a command that moves a flow version, after the one that moved it before. Returns its key."""
        trail = self._version_trails.setdefault(flow.version_id, [])
        expected = ExpectedVerdict(CommandStatus.APPLIED, version_status=status)
        fields |= {"flow_version_id": flow.version_id, "after": [*(key for _, key in trail[-1:]), *after]}
        key = self.add_other(name, UserRole.MANAGER, expected, **fields)
        trail.append((status, key))
        return key

    def supersede_version(self, flow: VersionPlan, key: UUID) -> None:
        """Note that this approval of another version deprecates one."""
        self._version_trails[flow.version_id] = [(FlowVersionStatus.DEPRECATED, key)]
