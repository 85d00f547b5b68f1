"""Holds what the database says against what had to happen. Pure: evidence in, violations out.

Each check is a sentence that the demo claims, and a function that names every case in which it is not so.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, TypeVar
from uuid import UUID

from runworker.demo.evidence import Evidence, LedgerRow, RunRow, StepRow
from runworker.demo.script import SITE, Claim, Expected, Life, Scripted
from runworker.models import ProductionRun, RunStepExecution
from runworker.plan import SKIPPED_NODE_ID, StepPlan
from runworker.states import RunStatus, StepExecutionStatus

RUN_CODE: Final = re.compile(r"RUN-(\d{8})-([A-Z]{4})-\d{4,}")

SKIPPED: Final = StepExecutionStatus.SKIPPED.value

RUNS: Final = ProductionRun.__tablename__
STEPS: Final = RunStepExecution.__tablename__

Row = TypeVar("Row")
C = TypeVar("C")
E = TypeVar("E")

Finder = Callable[[C, E], Iterator[str]]
"""Names all that speaks against one sentence of what is claimed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One claim and what speaks against it."""

    claim: str
    violations: tuple[str, ...]


def prove(checks: Mapping[str, Finder[C, E]], claim: C, evidence: E) -> list[Check]:
    """Hold every claim against the evidence."""
    return [Check(sentence, tuple(find(claim, evidence))) for sentence, find in checks.items()]


def _ends(claim: Claim, evidence: Evidence) -> Iterator[str]:
    found = by(evidence.runs, lambda run: run.id)
    for life in claim.lives:
        if not (rows := found.pop(life.run_id, [])):
            yield f"run {life.run_id} is not there; it had to become {life.end.run_status}"
        for run in rows:
            wanted = (life.end.run_status, life.end.step_index)
            if (run.status, run.current_step_index) != wanted:
                yield (
                    f"run {run.id} is {run.status} at step {run.current_step_index}; "
                    f"it had to be {wanted[0]} at step {wanted[1]}"
                )
            yield from _run_times(run)
    for run_id in found:
        yield f"run {run_id} is pinned to a flow version of the demo's and nobody asked for it"


def _run_times(run: RunRow) -> Iterator[str]:
    if run.ended_at is None or run.ended_at < run.started_at:
        yield f"run {run.id} started at {run.started_at} and ended at {run.ended_at}"
    if (run.completed_at is None) == (run.status == RunStatus.COMPLETED):
        yield f"run {run.id} is {run.status} and was completed at {run.completed_at}"


def _steps(claim: Claim, evidence: Evidence) -> Iterator[str]:
    found = by(evidence.steps, lambda step: step.run_id)
    for life in claim.lives:
        rows = sorted(found[life.run_id], key=lambda step: step.step_index)
        wanted = [_wanted_step(step, life.end) for step in life.flow.plan.steps]
        wanted += [(index, SKIPPED_NODE_ID, SKIPPED) for index in life.flow.plan.skipped]
        is_so = [(step.step_index, step.node_id, step.status) for step in rows]
        for missing in (Counter(wanted) - Counter(is_so)).elements():
            yield f"run {life.run_id} has no step {_shown(missing)}"
        for other in (Counter(is_so) - Counter(wanted)).elements():
            yield f"run {life.run_id} has a step {_shown(other)}, which it must not have"
        yield from _step_times(life, rows)


def _wanted_step(step: StepPlan, end: Expected) -> tuple[int, str, str]:
    done = end.run_status is RunStatus.COMPLETED or step.index < (end.step_index or 0)
    return step.index, step.node_id, (StepExecutionStatus.COMPLETED.value if done else SKIPPED)


def _step_times(life: Life, rows: Iterable[StepRow]) -> Iterator[str]:
    times: list[tuple[datetime, str]] = []
    for step in rows:
        if step.status == StepExecutionStatus.COMPLETED and not (step.started_at and step.completed_at):
            yield f"step {step.step_index} of run {life.run_id} is COMPLETED without having begun and ended"
        times += [(at, f"the beginning of step {step.step_index}") for at in [step.started_at] if at]
        times += [(at, f"the end of step {step.step_index}") for at in [step.completed_at] if at]
    for (earlier, what), (later, then) in pairwise(times):
        if later < earlier:
            yield f"in run {life.run_id} {then} lies before {what}: {later} and {earlier}"


def _pins(claim: Claim, evidence: Evidence) -> Iterator[str]:
    for version_id, wanted in claim.versions.items():
        if (status := evidence.versions.get(version_id)) != wanted:
            yield f"flow version {version_id} is {status}; it had to be {wanted}"
    runs = by(evidence.runs, lambda run: run.id)
    for life in claim.lives:
        for run in runs[life.run_id]:
            if run.flow_version_id != life.flow.version_id:
                yield f"run {run.id} is pinned to {run.flow_version_id}; it had to be {life.flow.version_id}"
            if run.idempotency_key != life.script[0].key:
                yield f"run {run.id} carries key {run.idempotency_key}; {life.script[0].key} started it"


def _effects(claim: Claim, evidence: Evidence) -> Iterator[str]:
    for entity in (RUNS, STEPS):
        events = by((event for event in evidence.events if event.entity == entity), lambda event: event.entity_id)
        for life in claim.lives:
            wanted = [each.key for each in life.moves if entity == RUNS or each.moves_steps]
            is_so = [event.command_key for event in events[life.run_id]]
            counted = Counter(is_so)
            yield from (
                f"command {key} changed {entity} of run {life.run_id} {counted[key]} times; it had to once"
                for key in wanted
                if counted[key] != 1
            )
            yield from (
                f"{f'command {key}' if key else 'somebody by hand'} changed {entity} of run {life.run_id}, uncalled for"
                for key in counted.keys() - set(wanted)
            )
            if is_so != wanted and sorted(map(str, is_so)) == sorted(map(str, wanted)):
                yield f"{entity} of run {life.run_id} changed in another order than its commands give"


def _trail(claim: Claim, evidence: Evidence) -> Iterator[str]:
    for event in evidence.events:
        if event.entity != RUNS or event.command_key not in claim.scripted:
            continue
        scripted = claim.scripted[event.command_key]
        if (event.status, event.step_index) != (scripted.expected.run_status, scripted.expected.step_index):
            yield (
                f"{scripted.command.name} {scripted.key} made its run {event.status} at step {event.step_index}; "
                f"it had to be {scripted.expected.run_status} at step {scripted.expected.step_index}"
            )


def _ledger(claim: Claim, evidence: Evidence) -> Iterator[str]:
    rows = by(evidence.ledger, lambda row: row.idempotency_key)
    codes: dict[UUID | None, str] = {run.id: run.run_code for run in evidence.runs}
    for key, scripted in claim.scripted.items():
        what = f"{scripted.command.name} {key}"
        found = rows.pop(key, [])
        if len(found) != 1:
            yield f"{what} stands {len(found)} times in the ledger; it had to once"
        for row in found:
            if (row.status, row.code) != (scripted.expected.status, scripted.expected.code):
                yield (
                    f"{what} is {_with(row.status, row.code)}; "
                    f"it had to be {_with(scripted.expected.status, scripted.expected.code)}"
                )
            elif difference := _difference(row, scripted, codes.get(scripted.command.target_run)):
                yield f"the verdict on {what} does not fit what happened: {difference}"
    for key in rows:
        yield f"command {key} is about one of the demo's runs and nobody sent it"


def _difference(row: LedgerRow, scripted: Scripted, run_code: str | None) -> str:
    """What a verdict says otherwise than the scenario; empty where it agrees."""
    wanted: dict[str, Any] = {"idempotency_key": str(scripted.key), "replayed": False, **scripted.expected.in_verdict}
    if scripted.moves_run:
        wanted["run_code"] = run_code
    says = row.verdict or {}
    return ", ".join(
        f"{name} is {says.get(name)} and not {value}" for name, value in wanted.items() if says.get(name) != value
    )


def _deliveries(claim: Claim, evidence: Evidence) -> Iterator[str]:
    counted = {row.idempotency_key: row.deliveries for row in evidence.ledger}
    short = {key: copies - counted.get(key, 0) for key, copies in claim.copies.items()}
    lost = sum(missing for missing in short.values() if missing > 0)
    # Redis hands a message out before it notes that it did, so each kill may cost the one message in between.
    if lost > claim.kills:
        yield (
            f"{lost} messages never reached the ledger, the first of command "
            f"{next(key for key, missing in short.items() if missing > 0)}; "
            f"{claim.kills} may be lost at most, one a kill"
        )


def _dead_letters(_claim: Claim, evidence: Evidence) -> Iterator[str]:
    yield from (f"dead letter {letter}" for letter in evidence.dead_letters)


def _codes(claim: Claim, evidence: Evidence) -> Iterator[str]:
    ours = {life.run_id for life in claim.lives}
    runs = [run for run in evidence.runs if run.id in ours]
    for run in runs:
        match = RUN_CODE.fullmatch(run.run_code)
        if match is None or match.groups() != (f"{run.started_at:%Y%m%d}", SITE):
            yield f"run {run.id} has the code {run.run_code!a}; expected RUN-{run.started_at:%Y%m%d}-{SITE}-####"
    for code, times in Counter(run.run_code for run in runs).items():
        if times > 1:
            yield f"{times} runs share the code {code!a}"


CHECKS: Final[Mapping[str, Finder[Claim, Evidence]]] = {
    "Every run is where it has to be": _ends,
    "Steps are gapless and in order, what an abort left is SKIPPED": _steps,
    "Runs stay pinned to their version": _pins,
    "Each command took effect once, in order, and nothing else did": _effects,
    "Every change made of its run what the command asks": _trail,
    "The ledger has every command once, decided, its verdict true": _ledger,
    "Every message that was sent was counted": _deliveries,
    "No message went to the dead letters": _dead_letters,
    "Run codes are well-formed and unique": _codes,
}


def by(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> defaultdict[Any, list[Row]]:
    """The rows that share a key, by it."""
    found: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _shown(step: tuple[int, str, str]) -> str:
    index, node_id, status = step
    return f"{index} ({node_id}, {status})"


def _with(status: str, code: str | None) -> str:
    return f"{status} ({code})" if code else str(status)
