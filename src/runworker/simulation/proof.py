"""Holds what the database says of runs and commands against what had to happen. Pure: a state in, violations out.

Each check is a sentence that has to be true, and a function that names every case in which it is not. Those of lots are
in `lot_proof`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, TypeVar
from uuid import UUID

from runworker.models import ProductionRun, RunStepExecution
from runworker.plan import SKIPPED_NODE_ID, StepPlan
from runworker.simulation.database_state import DatabaseState, Row, RunRow, StepRow
from runworker.simulation.scenario import BuiltScenario, ExpectedVerdict, PlannedRun
from runworker.states import UNFINISHED_RUNS, RunStatus, StepExecutionStatus

RUN_CODE: Final = re.compile(r"RUN-(\d{8})-([A-Z]{4})-\d{4,}")

RUNS: Final = ProductionRun.__tablename__
STEPS: Final = RunStepExecution.__tablename__

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Expectation:
    """A scenario that was sent, and therefore has to be found.

    copies: how often each command was sent, by key. kills: how many workers were killed while messages were on their
    way.
    """

    scenario: BuiltScenario
    copies: Mapping[UUID, int]
    kills: int = 0


Wanted = TypeVar("Wanted")
Finder = Callable[[Wanted, DatabaseState], Iterator[str]]
"""Names all that speaks against one sentence of what is wanted."""


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence and what speaks against it."""

    claim: str
    violations: tuple[str, ...]


def prove(finders: Mapping[str, Finder[Wanted]], wanted: Wanted, state: DatabaseState) -> list[Check]:
    """Hold every sentence against the state."""
    return [Check(sentence, tuple(find(wanted, state))) for sentence, find in finders.items()]


def _ends(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    ends = {run.run_id: run.end for run in wanted.scenario.runs}
    planned = {key: {"status": end.run_status, "current_step_index": end.step_index} for key, end in ends.items()}
    yield from differences("run", planned, state.runs)
    for row in state.runs:
        if row.id in ends:
            yield from _run_times(row, ends=ends[row.id].run_status not in UNFINISHED_RUNS)


def _run_times(row: RunRow, *, ends: bool) -> Iterator[str]:
    if (row.ended_at is not None) != ends or (row.ended_at and row.ended_at < row.started_at):
        yield f"run {row.id} started at {row.started_at} and ended at {row.ended_at}"
    if (row.completed_at is None) == (row.status == RunStatus.COMPLETED):
        yield f"run {row.id} is {row.status} and was completed at {row.completed_at}"


def _steps(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    found = by(state.steps, lambda row: row.run_id)
    for run in wanted.scenario.runs:
        rows = sorted(found[run.run_id], key=lambda row: row.step_index)
        skipped = {"node_id": SKIPPED_NODE_ID, "status": StepExecutionStatus.SKIPPED}
        planned: dict[int, Mapping[str, Any]] = dict.fromkeys(run.flow.plan.skipped, skipped)
        for step in run.flow.plan.steps:
            planned[step.index] = {"node_id": step.node_id, "status": _wanted_status(step, run.end)}
        yield from differences(f"run {run.run_id}, step", planned, rows, key="step_index")
        yield from _step_times(run, rows)


def _wanted_status(step: StepPlan, end: ExpectedVerdict) -> StepExecutionStatus:
    at = end.step_index or 0
    if end.run_status is RunStatus.COMPLETED or step.index < at:
        return StepExecutionStatus.COMPLETED
    if end.run_status not in UNFINISHED_RUNS:
        return StepExecutionStatus.SKIPPED
    return StepExecutionStatus.IN_PROGRESS if step.index == at else StepExecutionStatus.PENDING


def _step_times(run: PlannedRun, rows: Iterable[StepRow]) -> Iterator[str]:
    times: list[tuple[datetime, str]] = []
    for row in rows:
        if row.status == StepExecutionStatus.COMPLETED and not (row.started_at and row.completed_at):
            yield f"step {row.step_index} of run {run.run_id} is COMPLETED without having begun and ended"
        times += [(at, f"the beginning of step {row.step_index}") for at in [row.started_at] if at]
        times += [(at, f"the end of step {row.step_index}") for at in [row.completed_at] if at]
    for (earlier, what), (later, then) in pairwise(times):
        if later < earlier:
            yield f"in run {run.run_id} {then} lies before {what}: {later} and {earlier}"


def _pins(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    versions = {key: {"status": status} for key, status in wanted.scenario.versions.items()}
    yield from differences("flow version", versions, state.versions)
    there = {row.id for row in state.runs}
    planned = {
        run.run_id: {"flow_version_id": run.flow.version_id, "idempotency_key": run.commands[0].key}
        for run in wanted.scenario.runs
        if run.run_id in there
    }
    yield from differences("run", planned, [row for row in state.runs if row.id in planned])


def _effects(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    events = by(state.events, lambda event: (event.entity, event.entity_id))
    for entity in (RUNS, STEPS):
        for run in wanted.scenario.runs:
            asked = [each.key for each in run.moves if entity == RUNS or each.moves_steps]
            is_so = [event.command_key for event in events[entity, run.run_id]]
            counted = Counter(is_so)
            yield from (
                f"command {key} changed {entity} of run {run.run_id} {counted[key]} times; it had to once"
                for key in asked
                if counted[key] != 1
            )
            yield from (
                f"{f'command {key}' if key else 'somebody by hand'} changed {entity} of run {run.run_id}, uncalled for"
                for key in counted.keys() - set(asked)
            )
            if is_so != asked and sorted(map(str, is_so)) == sorted(map(str, asked)):
                yield f"{entity} of run {run.run_id} changed in another order than its commands give"


def _moves(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    planned = wanted.scenario.planned
    for event in state.events:
        if event.entity != RUNS or event.command_key not in planned:
            continue
        each = planned[event.command_key]
        if (event.status, event.step_index) != (each.expected.run_status, each.expected.step_index):
            yield (
                f"{each.command.name} {each.key} made its run {event.status} at step {event.step_index}; "
                f"it had to be {each.expected.run_status} at step {each.expected.step_index}"
            )


def _ledger(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    planned = wanted.scenario.planned
    outcomes = {key: {"status": each.expected.status, "code": each.expected.code} for key, each in planned.items()}
    yield from differences("command", outcomes, state.ledger, key="idempotency_key")
    codes: dict[UUID | None, str] = {row.id: row.run_code for row in state.runs}
    for row in state.ledger:
        each = planned.get(row.idempotency_key)
        if each is None or row.status != each.expected.status:
            continue  # told above
        members = {"idempotency_key": str(each.key), "replayed": False, **each.expected.as_dict}
        if each.moves_run:
            members["run_code"] = codes.get(each.command.target_run)
        if difference := _difference(members, (row.verdict or {}).get):
            yield f"the verdict on {each.command.name} {each.key} does not fit what happened: {difference}"


def _deliveries(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    counted = {row.idempotency_key: row.deliveries for row in state.ledger}
    short = {key: copies - counted.get(key, 0) for key, copies in wanted.copies.items()}
    lost = sum(missing for missing in short.values() if missing > 0)
    # Redis hands a message out before it notes that it did, so each kill may cost the one message in between.
    if lost > wanted.kills:
        yield (
            f"{lost} messages never reached the ledger, the first of command "
            f"{next(key for key, missing in short.items() if missing > 0)}; "
            f"{wanted.kills} may be lost at most, one a kill"
        )


def _dead_letters(_wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    yield from (f"dead letter {letter}" for letter in state.dead_letters)


def _codes(wanted: Expectation, state: DatabaseState) -> Iterator[str]:
    sites = {run.run_id: run.commands[0].command.payload.get("site_code") for run in wanted.scenario.runs}
    rows = [row for row in state.runs if row.id in sites]
    for row in rows:
        match, day, site = RUN_CODE.fullmatch(row.run_code), f"{row.started_at:%Y%m%d}", sites[row.id]
        if match is None or match.groups() != (day, site):
            yield f"run {row.id} has the code {row.run_code!a}; expected RUN-{day}-{site}-####"
    for code, times in Counter(row.run_code for row in rows).items():
        if times > 1:
            yield f"{times} runs share the code {code!a}"


STATE_CHECKS: Final[Mapping[str, Finder[Expectation]]] = {
    "Every run is where it has to be": _ends,
    "Steps are gapless and in order, what an abort left is SKIPPED": _steps,
    "Runs stay pinned to their version": _pins,
    "Each command took effect once, in order, and nothing else did": _effects,
    "Every change made of its run what the command asks": _moves,
    "The ledger has every command once, decided, its verdict true": _ledger,
    "Run codes are well-formed and unique": _codes,
}
"""What has to hold however messages were delivered."""

RUN_CHECKS: Final[Mapping[str, Finder[Expectation]]] = {
    **STATE_CHECKS,
    "Every message that was sent was counted": _deliveries,
    "No message went to the dead letters": _dead_letters,
}


def by(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> defaultdict[Any, list[Row]]:
    """The rows that share a key, by it."""
    found: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def differences(
    what: str, planned: Mapping[Key, Mapping[str, Any]], rows: Iterable[Any], *, key: str = "id"
) -> Iterator[str]:
    """Rows that are not there once, or that nobody asked for, and columns that are not as planned.

    planned: columns by what stands in the column `key`.
    """
    found = by(rows, attrgetter(key))
    for one, columns in planned.items():
        if (times := len(found[one])) != 1:
            yield f"{what} {one} is there {times} times; it had to be once ({', '.join(map(str, columns.values()))})"
        for row in found.pop(one):
            if difference := _difference(columns, partial(getattr, row)):
                yield f"{what} {one}: {difference}"
    yield from (f"{what} {one} is there and nobody asked for it" for one in found)


def _difference(planned: Mapping[str, Any], found: Callable[[str], Any]) -> str:
    """The names under which something else is found than planned, in words; empty where all agrees."""
    return ", ".join(
        f"{name} is {found(name)} and not {value}" for name, value in planned.items() if found(name) != value
    )
