"""What all candidates work on: many runs, each advanced step by step, and whether all of it was done.

The first advance of every run comes first, then the second of every run, and so on. So a batch of a hundred commands
is about a hundred runs, and hardly ever meets a run whose step before is still on its way.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import create_engine, text

from benchmarks.testbed import PlantDatabase
from runworker.commands import parse
from runworker.engine import Engine
from runworker.ids import new_id
from runworker.states import CommandStatus

STEPS: Final = 10
"""Advances that a run of eleven steps has in it."""

LEAST_RUNS: Final = 400
"""Fewer would bring consecutive steps of a run too near each other: workers hold some hundred commands at a time."""

BATCH: Final = 100

CHECKS: Final = {
    "commands APPLIED": "SELECT count(*) FROM commands WHERE run_id = ANY (:runs) AND command = 'advance_step'"
    " AND status = 'APPLIED' AND verdict->>'status' = 'APPLIED'",
    "runs at their last step": "SELECT count(*) FROM production_runs WHERE id = ANY (:runs) AND status = 'RUNNING'"
    " AND current_step_index = :steps",
    "steps COMPLETED": "SELECT count(*) FROM run_step_executions WHERE run_id = ANY (:runs) AND status = 'COMPLETED'",
    "commands with an audit event of their run": "SELECT count(DISTINCT command_key) FROM audit_events"
    " WHERE entity_id = ANY (:runs) AND entity = 'production_runs' AND command = 'advance_step'",
    "commands with an audit event of their steps": "SELECT count(DISTINCT command_key) FROM audit_events"
    " WHERE entity_id = ANY (:runs) AND entity = 'run_step_executions' AND command = 'advance_step'",
}


@dataclass(frozen=True)
class Work:
    """Advances of a number of runs, in the order in which they are handed out.

    commands: keyword arguments as JSON types, as messages carry them.
    """

    runs: Sequence[UUID]
    steps: int
    commands: Sequence[dict[str, Any]]


def shape(commands: int) -> tuple[int, int]:
    """How many runs, and how many advances of each, make about so many commands. Up to four may share the runs."""
    runs = min(max(LEAST_RUNS, commands // STEPS // 4 * 4), -(-commands // 4) * 4)
    return runs, max(1, min(STEPS, round(commands / runs)))


class Workload:
    """Makes work in a plant and checks it. started, seconds: how many runs it started, and how long that took.

    make_id: makes its keys, as runworker.client does unless something else is said.
    """

    def __init__(self, plant: PlantDatabase, make_id: Callable[[], UUID] = new_id) -> None:
        self.plant = plant
        self._make_id = make_id
        self.started = 0
        self.seconds = 0.0
        self._engine = Engine(plant.settings)
        self._owner = create_engine(plant.url)

    def close(self) -> None:
        """Close all connections."""
        self._engine.close()
        self._owner.dispose()

    def work(self, commands: int) -> Work:
        """About so many advances of runs that are started here, through the engine."""
        runs, steps = shape(commands)
        ids = self._start(runs)
        return Work(ids, steps, advances(ids, steps, self.plant.manager, self._make_id))

    def shortcomings(self, work: Work, patience: float = 10.0) -> list[str]:
        """What the database does not say of finished work although it should. Empty when all is there.

        patience: seconds that commands which are acknowledged before they are done may still take.
        """
        commands, runs = len(work.commands), len(work.runs)
        wanted = dict(zip(CHECKS, (commands, runs, commands, commands, commands), strict=True))
        deadline = time.monotonic() + patience
        while True:
            found = self._found(work)
            wrong = [f"{what}: {found[what]} and not {many}" for what, many in wanted.items() if found[what] != many]
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(0.1)

    def _found(self, work: Work) -> dict[str, int]:
        parameters = {"runs": list(work.runs), "steps": work.steps}
        with self._owner.connect() as connection:
            return {what: connection.execute(text(query), parameters).scalar_one() for what, query in CHECKS.items()}

    def _start(self, runs: int) -> list[UUID]:
        ids = [self._make_id() for _ in range(runs)]
        common = {"issued_by": self.plant.manager, "flow_version_id": self.plant.flow_version_id}
        commands = [parse("start_run", {"idempotency_key": id_, **common}) for id_ in ids]
        began = time.perf_counter()
        for first in range(0, runs, BATCH):
            verdicts = self._engine.apply(commands[first : first + BATCH])
            if any(verdict.status is not CommandStatus.APPLIED for verdict in verdicts):
                raise AssertionError(f"a run was not started: {verdicts}")
        self.seconds += time.perf_counter() - began
        self.started += runs
        return ids


def advances(
    runs: Sequence[UUID], steps: int, issued_by: str, make_id: Callable[[], UUID] = new_id
) -> list[dict[str, Any]]:
    """Keyword arguments of all advances of these runs, a step of all runs at a time."""
    return [
        {"idempotency_key": str(make_id()), "issued_by": issued_by, "run_id": str(run), "to_step_index": step}
        for step in range(1, steps + 1)
        for run in runs
    ]
