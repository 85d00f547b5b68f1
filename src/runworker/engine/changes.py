"""Changes that commands make to the facts, written set-wise.

A batch may change one run several times (start, advance, advance). Every change is written, so that every move passes
the database's guards and leaves its audit event; changes of different entities share a statement. So the
number of statements grows with the longest chain of changes that build on each other and not with the batch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from runworker.engine.sql.codes import RUN_PREFIX, CodeRequest
from runworker.engine.sql.lots import (
    INSERT_LINKS,
    INSERT_LOTS,
    INSERT_QC_DECISIONS,
    RELABEL_LOTS,
    UPDATE_LOTS,
    link_row,
    lot_row,
    qc_row,
)
from runworker.engine.sql.runs import INSERT_RUNS, INSERT_STEPS, UPDATE_RUNS, UPDATE_STEPS, run_row, step_row
from runworker.engine.sql.versions import UPDATE_VERSIONS, version_row
from runworker.engine.sql.writes import Row, TableWrite
from runworker.handlers.facts import LotFact, Outcome
from runworker.handlers.lot_codes import code_prefix
from runworker.states import FlowVersionStatus, LotStatus, RunStatus

_IN_ORDER: Final[Mapping[str, TableWrite]] = {
    # A version that leaves makes room first: a flow has one PUBLISHED version at any moment.
    "leaving versions": UPDATE_VERSIONS,
    "changed versions": UPDATE_VERSIONS,
    "new runs": INSERT_RUNS,
    "changed runs": UPDATE_RUNS,
    "new steps": INSERT_STEPS,
    "changed steps": UPDATE_STEPS,
    "new lots": INSERT_LOTS,
    "relabelled lots": RELABEL_LOTS,
    "links": INSERT_LINKS,
    "qc decisions": INSERT_QC_DECISIONS,
    "changed lots": UPDATE_LOTS,
}
"""Statements of a wave, in this order."""


@dataclass(frozen=True, slots=True)
class Change:
    """Entities before and after one command, and the ids of all of them. New ones are absent in `before`."""

    command_key: UUID
    before: Outcome
    after: Outcome
    ids: Set[UUID]


def code_requests(changes: Iterable[Change]) -> list[CodeRequest]:
    """The codes that new runs and lots need, each once."""
    wanted: list[CodeRequest] = []
    for change in changes:
        run = change.after.run
        if run is not None and change.before.run is None and run.new_at_site:
            wanted.append((run.id, RUN_PREFIX, run.new_at_site))
        wanted += [
            (lot.id, code_prefix(lot.lot_type), lot.new_at_site)
            for lot in change.after.lots
            if lot.lot_code is None and lot.lot_type and lot.new_at_site
        ]
    return list(dict.fromkeys(wanted))


def write_changes(connection: Connection, changes: Iterable[Change], codes: Mapping[UUID, str]) -> None:
    """Write all changes, in waves in which no entity occurs twice. codes: of new runs and lots, by id.

    Within a wave a run comes before its steps and lots, a lot and its SKU before its genealogy, and that before its
    parents' states: material is taken from lots that are still RELEASED.
    """
    for wave in _waves(changes):
        rows: defaultdict[str, list[Row]] = defaultdict(list)
        for change in wave:
            _add_versions(change, rows)
            _add_run(change, rows, codes)
            _add_lots(change, rows, codes)
        for name, write in _IN_ORDER.items():
            write.execute(connection, rows[name])


def _waves(changes: Iterable[Change]) -> list[list[Change]]:
    """Put each change into the first wave in which its guards see what they saw when it was judged.

    That is after the waves that write its entities or read them, and not before those that write what it reads.
    """
    waves: list[list[Change]] = []
    written_in: dict[UUID, int] = {}
    last_read_in: dict[UUID, int] = {}
    for change in changes:
        reads = _reads(change)
        number = max(
            [written_in.get(id_, -1) + 1 for id_ in change.ids]
            + [last_read_in.get(id_, -1) + 1 for id_ in change.ids]
            + [written_in.get(id_, 0) for id_ in reads]
        )
        written_in.update(dict.fromkeys(change.ids, number))
        last_read_in.update({id_: max(number, last_read_in.get(id_, 0)) for id_ in reads})
        while number >= len(waves):
            waves.append([])
        waves[number].append(change)
    return waves


def _reads(change: Change) -> Set[UUID]:
    """Entities that the database's guards read for this change and that it does not write.

    They are the version that a run is being pinned to, the runs of the lots, the children of genealogy and their runs,
    and the children of lots that are finished. Within a wave each of these is written first, or by the same statement.
    """
    run, lots = change.after.run, change.after.lots
    was = change.before.run
    pins = was is None or was.status is RunStatus.IDLE or was.flow_version_id is None
    versions = {run.flow_version_id} if run and run.flow_version_id and pins else set()
    if not lots:
        return versions
    runs = {lot.run_id for lot in lots if lot.run_id is not None}
    runs |= {link.child_run_id for link in change.after.links if link.child_run_id is not None}
    finished = (lot.children for lot in lots if lot.status is LotStatus.FINISHED)
    children = {link.child_id for link in change.after.links}.union(*finished)
    return (versions | runs | children) - change.ids


def _add_versions(change: Change, rows: Mapping[str, list[Row]]) -> None:
    before = {version.id: version for version in change.before.versions}
    for version in change.after.versions:
        leaves = version.status is FlowVersionStatus.DEPRECATED
        rows["leaving versions" if leaves else "changed versions"].append(
            version_row(version, before[version.id], change.command_key)
        )


def _add_run(change: Change, rows: Mapping[str, list[Row]], codes: Mapping[UUID, str]) -> None:
    run, before = change.after.run, change.before.run
    if run is None:
        return
    rows["changed runs" if before else "new runs"].append(run_row(run, before, change.command_key, codes))
    if before is None or not before.steps:
        rows["new steps"].extend(step_row(run, step, None, change.command_key) for step in run.steps)
        return
    for step, was in zip(run.steps, before.steps, strict=True):
        if step is not was and step != was:
            rows["changed steps"].append(step_row(run, step, was, change.command_key))


def _label(lot: LotFact) -> tuple[Any, ...]:
    return lot.lot_type, lot.run_id, lot.step_index, lot.sku_type


def _add_lots(change: Change, rows: Mapping[str, list[Row]], codes: Mapping[UUID, str]) -> None:
    before = {lot.id: lot for lot in change.before.lots}
    for lot in change.after.lots:
        was = before.get(lot.id)
        if was is None:
            rows["new lots"].append(lot_row(lot, None, change.command_key, codes))
        elif _label(lot) != _label(was):
            rows["relabelled lots"].append(lot_row(lot, was, change.command_key, codes))
        elif (lot.status, lot.temperature_c, lot.status_reason) != (was.status, was.temperature_c, was.status_reason):
            rows["changed lots"].append(lot_row(lot, was, change.command_key, codes))
    rows["links"].extend(link_row(link, change.command_key) for link in change.after.links)
    if change.after.qc_record is not None:
        rows["qc decisions"].append(qc_row(change.after.qc_record, change.command_key))
