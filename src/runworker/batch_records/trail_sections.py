"""The batch record's parts about actions: commands and verdicts, changes by hand, the audit trail."""

from typing import Final

from runworker.batch_records.markup import Content, Html, definitions, joined, table, tag
from runworker.batch_records.pieces import code, meanings, person, section, state, time
from runworker.batch_records.run_record import AuditSummary, CommandLine, RunRecord
from runworker.batch_records.words import VERDICTS

ENTITIES: Final = {
    "production_runs": "The run",
    "run_step_executions": "Its steps",
    "lots": "Lots",
    "lot_genealogy": "Links between lots",
    "qc_decisions": "Quality decisions",
}
OPERATIONS: Final = {"INSERT": "made", "UPDATE": "changed", "DELETE": "deleted"}


def commands(record: RunRecord) -> Html:
    """Every command and its verdict."""
    forgotten = sum(not line.remembered for line in record.commands)
    note = (
        f"{forgotten} commands are older than the ledger keeps them. The audit trail tells that they took effect, but"
        " not what exactly they asked, and it does not know of refused ones."
    )
    return section(
        "Commands and verdicts",
        "Everything that was asked about this run and its lots, in the order in which it was decided, and the answer."
        " A refused command changed nothing and stays here.",
        tag("p", note, class_="warning") if forgotten else None,
        table(
            ("Decided", "Command", "About", "Asked", "Verdict", "Rule and reason", "By"),
            [_command(line, record) for line in record.commands],
            caption=f"{len(record.commands)} commands",
            empty="No command is known.",
        ),
        meanings(VERDICTS, (line.status for line in record.commands)),
    )


def _command(line: CommandLine, record: RunRecord) -> tuple[Content, ...]:
    asked = ", ".join(f"{name} {value}" for name, value in line.fields.items())
    why = joined([tag("strong", line.code) if line.code else None, ": " if line.code else None, line.message])
    return (
        time(line.at),
        line.command,
        code(line.about),
        asked if line.remembered else "not kept",
        state(line.status),
        why or None,
        person(line.issued_by, record.people),
    )


def by_hand(record: RunRecord) -> Html:
    """Changes that no command asked for."""
    rows = [
        (time(change.at), code(change.subject), change.before, change.after, change.db_user)
        for change in record.by_hand
    ]
    return section(
        "Changes by hand",
        "Changes that were made in the database itself, by no command. The database refuses illegal ones and records"
        " the rest.",
        table(
            ("When", "What", "Before", "After", "Database user"), rows, caption=f"{len(rows)} changes", empty="None."
        ),
    )


def audit(record: RunRecord) -> Html:
    """The events of this run in the audit trail, and whether they are sealed."""
    found = record.audit
    rows = [
        (ENTITIES.get(entity, entity), OPERATIONS.get(operation, operation), count)
        for (entity, operation), count in found.counts.items()
    ]
    facts = (
        ("Events of this run", str(found.total)),
        ("Numbers", f"{found.first_id} to {found.last_id}" if found.total else None),
        ("Sealed", f"{found.sealed} of {found.total}"),
        ("Earlier events may be in", ", ".join(found.archives) or None),
        ("Last seal above them", tag("span", found.last_seal, class_="key") if found.last_seal else None),
        ("Sealed at", time(found.last_sealed_at)),
        ("Seals recomputed", _verified(found)),
    )
    return section(
        "Audit trail",
        "The database itself writes an event for every change. Events are closed, range by range, into seals: each is"
        " a SHA-256 over its events and the seal before it, so that no sealed event can change unseen.",
        definitions(facts),
        table(("About", "Was", "Events"), rows, caption="Events by kind", empty="There are no events of this run."),
    )


def _verified(found: AuditSummary) -> str:
    checked = found.verification
    if checked is None:
        return "not for this record; `runworker verify` does it"
    if checked.broken is not None:
        return f"BROKEN at seal {checked.broken.seal_id}: {checked.broken.reason}"
    hold = f"all {checked.seals} seals hold"
    return f"{hold} behind the last archive" if found.archives else hold
