"""All looks at a database, in one snapshot, and what comes of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, text

from runworker.upkeep.seal import BEGINNING, Verification, last_archived, last_before, recompute
from runworker.verification import archived, ledger, rules, schema, state, trail
from runworker.verification.discrepancies import Discrepancy, Question, Tell

MOST_TOLD: Final = 50
"""Findings of one question that are told one by one; more of the same are counted."""

_COUNTED: Final = ("audit_archives", "audit_events", "audit_seals", "commands", "dead_letters", "run_step_executions")
_CONTENT: Final = (*(audited.table for audited in state.AUDITED), *_COUNTED)

_MEMORY: Final = text("SET LOCAL work_mem = '32MB'")
"""Of a sort: a million events in PostgreSQL's 4 MB go to the disk and back."""

Ask = Callable[[Connection], Iterator[Discrepancy]]


class HeadFound(NamedTuple):
    """A seal that somebody kept the hash of. seals_since, events_since: what came after it."""

    seal_id: int
    sealed_at: datetime
    seals_since: int
    events_since: int


@dataclass(slots=True)
class VerificationReport:
    """What verification looked at and found.

    rows: how many there are, by table. older: rows of audited tables that no event vouches for, as they are older than
    the trail. discrepancies: of each question the first ones; found counts all. not_looked_at: what was left out and
    why.
    """

    chain: Verification
    rows: dict[str, int]
    older: dict[str, int] = field(default_factory=dict)
    head: HeadFound | None = None
    discrepancies: list[Discrepancy] = field(default_factory=list)
    found: int = 0
    not_looked_at: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """In a word or two: tampered, not verified, empty, or intact."""
        if self.found:
            return "tampered"
        if not self.rows:
            return "not verified"
        return "intact" if any(self.rows.values()) else "empty"

    def add(self, discrepancies: Iterator[Discrepancy]) -> None:
        """Keep the first of what one question found, and count the rest."""
        for number, discrepancy in enumerate(discrepancies):
            self.found += 1
            if number < MOST_TOLD:
                self.discrepancies.append(discrepancy)


def examine(
    database: Engine,
    *,
    since: datetime | None = None,
    head: str | None = None,
    archives: Path | None = None,
    tell: Tell = lambda *_: None,
) -> VerificationReport:
    """Look at the whole database in one snapshot, and change nothing.

    since: take seals that were made before, and events under them, as they are. head: the hash of a seal, as hex, that
    shall be in the chain. archives: the folder that has the archives of the audit trail; without one, what was archived
    is taken as it is. A database at another revision than this release's is looked at as far as its seals.
    """
    # What makes temporary tables is not read-only to PostgreSQL.
    snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": archives is None}
    with database.connect().execution_options(**snapshot) as found:
        return look_at(found, since=since, head=head, archives=archives, tell=tell)


def look_at(
    connection: Connection,
    *,
    since: datetime | None = None,
    head: str | None = None,
    archives: Path | None = None,
    tell: Tell = lambda *_: None,
) -> VerificationReport:
    """As `examine`, in the connection's own transaction."""
    connection.execute(_MEMORY)
    known_to, loaded_to, faults = last_archived(connection), 0, list[Discrepancy]()
    if archives is not None:
        loaded_to, faults = _look_into(connection, archives, tell)
        known_to = BEGINNING if loaded_to else known_to
    tell(trail.LOOK, 0, 1)
    since_then = last_before(connection, since)
    start = max(known_to, since_then, key=lambda point: point.id)
    report = VerificationReport(recompute(connection, start), {})
    report.add(iter(faults))
    report.add(trail.broken_seal(report.chain))
    if head is not None:
        report.head = _find(connection, head)
        report.add(iter(() if report.head else (_lost(head),)))
    tell(trail.LOOK, 1, 1)
    if known_to is not BEGINNING:
        names = [archive.file_name for archive in archived.listed(connection)]
        report.not_looked_at.append(
            f"events of {len(names)} archived months, in {names[0]} to {names[-1]}"
            + ("" if archives else ": --archives FOLDER looks at them as well")
        )
    if (revision := _revision(connection)) != (ours := schema.expected().revision):
        report.not_looked_at.append(
            f"all but the seals: the database is at revision {revision}, this release's is {ours};"
            " run `runworker migrate` first"
        )
        return report
    given = {
        "after": since_then.last_event_id,
        "chained": start.last_event_id,
        "told_from": known_to.sealed_at,
        "archived_to": loaded_to,
    }
    _ask_all(connection, report, given, tell)
    if since_then is not BEGINNING:
        report.not_looked_at.append(f"seals to number {since_then.id}, and rows that no later event names")
    return report


def _look_into(connection: Connection, folder: Path, tell: Tell) -> tuple[int, list[Discrepancy]]:
    """Have the events of all archives looked at with all others; where a file is not as it was listed, of none.

    Returns the last event that is, or 0, and what is wrong with the files.
    """
    archives = archived.listed(connection)
    faults = list(archived.faults(archives, folder))
    if archives and not faults:
        faults += archived.load(connection, archives, folder, tell)
    if faults or not archives:
        return 0, faults
    archived.put_before(connection, archives[-1].last_event_id)
    return archives[-1].last_event_id, faults


def _ask_all(connection: Connection, report: VerificationReport, given: dict[str, Any], tell: Tell) -> None:
    report.rows = {table: _count(connection, f"SELECT count(*) FROM {table}") for table in sorted(_CONTENT)}
    for look, questions in _looks(given):
        for number, question in enumerate(questions):
            report.add(question(connection))
            tell(look, number + 1, len(questions))
    report.older = {
        audited.table: many for audited in state.AUDITED if (many := _count(connection, audited.older_rows))
    }


def _looks(given: dict[str, Any]) -> Iterator[tuple[str, list[Ask]]]:
    if given["archived_to"]:
        yield archived.LOOK, [_asked(question, archived.LOOK, given) for question in archived.LEFT]
    yield trail.LOOK, [_asked(question, trail.LOOK, given) for question in trail.IDS]
    yield state.LOOK, [_asked(question, state.LOOK, given) for question in state.QUESTIONS]
    yield (
        ledger.LOOK,
        [*(_asked(question, ledger.LOOK, given) for question in ledger.QUESTIONS), ledger.changed_payloads],
    )
    yield rules.LOOK, [_asked(question, rules.LOOK, given) for question in rules.QUESTIONS]
    yield schema.LOOK, [schema.differences, *(_asked(question, schema.LOOK, given) for question in schema.questions())]


def _asked(question: Question, look: str, given: dict[str, Any]) -> Ask:
    wanted = {name: value for name, value in given.items() if f":{name}" in question.sql}
    return partial(question.ask, look=look, given=wanted)


def _revision(connection: Connection) -> str:
    return ", ".join(connection.execute(text("SELECT version_num FROM alembic_version ORDER BY 1")).scalars())


def _count(connection: Connection, statement: str) -> int:
    return int(connection.execute(text(statement)).scalar_one())


_FIND: Final = text("""
    SELECT seal.id, seal.sealed_at,
           (SELECT count(*) FROM audit_seals AS later WHERE later.id > seal.id) AS seals_since,
           (SELECT count(*) FROM audit_events AS event WHERE event.id > seal.last_event_id) AS events_since
    FROM audit_seals AS seal WHERE encode(seal.sha256, 'hex') = lower(:head)
""")


def _find(connection: Connection, head: str) -> HeadFound | None:
    row = connection.execute(_FIND, {"head": head}).one_or_none()
    return HeadFound(*row) if row else None


def _lost(head: str) -> Discrepancy:
    return Discrepancy(
        trail.LOOK,
        "audit_seals",
        head,
        "no seal has this hash",
        "the seal whose hash was kept, and all seals before it",
        "a backup of before the seal was lost",
    )
