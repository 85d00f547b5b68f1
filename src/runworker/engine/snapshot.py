"""The snapshot of a batch: the facts that its commands need, each loaded once, and then as its commands change them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import (
    AdoptRun,
    AdvanceStep,
    ApproveFlowVersion,
    Command,
    CompleteRun,
    DeprecateFlowVersion,
    FinishLot,
    RollbackStep,
    StartRun,
)
from runworker.engine.batch import Resources
from runworker.engine.sql.locks import lock
from runworker.engine.sql.lots import load_lots, runs_of_lots
from runworker.engine.sql.runs import count_unfinished_runs, load_runs
from runworker.engine.sql.users import load_users
from runworker.engine.sql.versions import load_flows, load_versions
from runworker.errors import Rejected
from runworker.handlers.facts import Facts, LotFact, Outcome, Rules, RunFact, VersionFact
from runworker.plan import Plan
from runworker.states import UNFINISHED_RUNS, UserRole


@dataclass(slots=True)
class _Needs:
    """Ids that a set of commands asks for."""

    users: set[UUID] = field(default_factory=set)
    runs: set[UUID] = field(default_factory=set)
    lots: set[UUID] = field(default_factory=set)
    versions: set[UUID] = field(default_factory=set)
    approved: set[UUID] = field(default_factory=set)
    deprecated: set[UUID] = field(default_factory=set)
    stepped: set[UUID] = field(default_factory=set)
    whole: set[UUID] = field(default_factory=set)
    with_children: set[UUID] = field(default_factory=set)
    changes_versions: bool = False

    def add(self, command: Command) -> None:
        fields = command.__dict__
        self.users.add(command.issued_by)
        if operator_id := fields.get("operator_id"):
            self.users.add(operator_id)
        if run_id := command.target_run:
            self.runs.add(run_id)
        if lot_id := command.target_lot:
            self.lots.add(lot_id)
            self.lots |= command.other_lots
        if version_id := fields.get("flow_version_id"):
            self.versions.add(version_id)
            self.changes_versions |= not isinstance(command, StartRun | AdoptRun)
        match command:
            case AdvanceStep(run_id=run_id):
                self.stepped.add(run_id)
            case CompleteRun(run_id=run_id) | RollbackStep(run_id=run_id):
                self.stepped.add(run_id)
                self.whole.add(run_id)
            case AdoptRun(run_id=run_id):
                self.whole.add(run_id)
            case FinishLot(lot_id=lot_id):
                self.with_children.add(lot_id)
            case ApproveFlowVersion(flow_version_id=version_id):
                self.approved.add(version_id)
            case DeprecateFlowVersion(flow_version_id=version_id):
                self.deprecated.add(version_id)


class Snapshot:
    """The facts of one batch: as loaded, and then as its commands change them.

    The batch's changes are ahead of the database, so no fact is ever loaded twice.
    """

    def __init__(self, connection: Connection, resources: Resources, now: datetime) -> None:
        self._connection = connection
        self._plans_kept = resources.plans
        self._users: dict[UUID, UserRole] = {}
        self._versions: dict[UUID, VersionFact] = {}
        self._plans: dict[UUID, Plan | Rejected] = {}
        self._runs: dict[UUID, RunFact] = {}
        self._lots: dict[UUID, LotFact] = {}
        self._lots_of_run: defaultdict[UUID, dict[UUID, None]] = defaultdict(dict)
        self._unfinished: Counter[UUID] = Counter()
        self._counted: set[UUID] = set()
        self._absent: set[UUID] = set()
        self._open_loaded: set[UUID] = set()
        self._all_loaded: set[UUID] = set()
        rules = Rules(resources.settings.default_site_code, timedelta(days=resources.settings.archive_after_days))
        self.facts = Facts(
            now,
            rules,
            self._users,
            self._versions,
            self._plans,
            self._runs,
            self._lots,
            self._lots_of_run,
            self._unfinished,
        )

    def load(self, commands: Iterable[Command]) -> None:
        """Load the facts that these commands need and lack. Runs are locked before lots, each in id order."""
        needs = _Needs()
        for command in commands:
            needs.add(command)
        self._users |= load_users(self._connection, needs.users - self._users.keys())
        new_lots = needs.lots - self._lots.keys() - self._absent
        wanted_runs = needs.runs | runs_of_lots(self._connection, new_lots)
        self._runs |= load_runs(self._connection, wanted_runs - self._runs.keys() - self._absent)
        self._absent |= wanted_runs - self._runs.keys()
        self._load_lots(needs, new_lots)
        self._load_versions(needs)

    def before(self, outcome: Outcome) -> Outcome:
        """The same entities as they were; new ones are absent."""
        return Outcome(
            run=self._runs.get(outcome.run.id) if outcome.run else None,
            lots=tuple(self._lots[lot.id] for lot in outcome.lots if lot.id in self._lots),
            versions=tuple(self._versions[version.id] for version in outcome.versions),
        )

    def take_in(self, outcome: Outcome) -> None:
        """Let the commands that follow see the changes of a command."""
        if run := outcome.run:
            before = self._runs.get(run.id)
            if before is None or (before.status, before.flow_version_id) != (run.status, run.flow_version_id):
                self._count_pin(before, -1)
                self._count_pin(run, 1)
            self._runs[run.id] = run
        for lot in outcome.lots:
            self._keep(lot)
        for version in outcome.versions:
            self._versions[version.id] = version

    def _count_pin(self, run: RunFact | None, difference: int) -> None:
        """Count the runs that this batch begins, adopts or ends: the database cannot count them yet."""
        if run is not None and run.flow_version_id is not None and run.status in UNFINISHED_RUNS:
            self._unfinished[run.flow_version_id] += difference

    def _keep(self, lot: LotFact) -> None:
        self._lots[lot.id] = lot
        if lot.run_id is not None:
            self._lots_of_run[lot.run_id][lot.id] = None

    def _load_lots(self, needs: _Needs, ids: set[UUID]) -> None:
        all_of = (needs.whole & self._runs.keys()) - self._all_loaded
        open_of = (needs.stepped & self._runs.keys()) - needs.whole - self._open_loaded - self._all_loaded
        found = load_lots(self._connection, ids, all_of, open_of)
        self._all_loaded |= all_of
        self._open_loaded |= open_of
        self._absent |= ids - found.keys()
        # Lots that are loaded already may have been loaded without their children.
        parents = [
            lot
            for lot in (*found.values(), *(self._lots[id_] for id_ in needs.with_children & self._lots.keys()))
            if lot.id in needs.with_children or lot.run_id in needs.whole
        ]
        children = {child for parent in parents for child in parent.children} - self._lots.keys() - found.keys()
        for lot in (found | load_lots(self._connection, children, (), ())).values():
            if lot.id not in self._lots:
                self._keep(lot)

    def _load_versions(self, needs: _Needs) -> None:
        flows = load_flows(self._connection, needs.approved)
        if flows:
            # Two approvals of one flow come one after the other: the later one sees the version that it supersedes.
            lock(self._connection, flows)
        versions = load_versions(
            self._connection,
            needs.versions - self._versions.keys(),
            self._plans_kept,
            flows,
            to_change=needs.changes_versions,
        )
        self._versions |= {id_: version for id_, version in versions.items() if id_ not in self._versions}
        # A run that this very batch starts or adopts is asked for its gates too.
        self._plans |= {id_: version.plan for id_, version in versions.items() if id_ not in self._plans}
        self._unfinished.update(count_unfinished_runs(self._connection, needs.deprecated - self._counted))
        self._counted |= needs.deprecated
        pinned = {self._runs[id_].flow_version_id for id_ in needs.stepped if id_ in self._runs} - {None}
        missing = {id_ for id_ in pinned if id_} - self._plans.keys()
        self._plans |= self._plans_kept.known(missing)
        self._plans |= {
            id_: version.plan
            for id_, version in load_versions(self._connection, missing - self._plans.keys(), self._plans_kept).items()
        }
