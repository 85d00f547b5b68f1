"""`runworker restore-check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from runworker.cli import doctor, on_demand, verify
from runworker.cli.reporting import show, tell
from runworker.errors import RunworkerError
from runworker.safe_text import printable

if TYPE_CHECKING:
    from runworker.doctor import Finding
    from runworker.verification import Discrepancy, VerificationReport

MOST_SHOWN: Final = 10
"""Discrepancies on the page; `runworker verify` tells more."""

_RIGHTS: Final = ("rights-missing", "rights-of-others")


def restore_check(
    head: verify.Head = None,
    anchor: verify.Anchor = None,
    archives: verify.Archives = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """After a restore, a promotion or a move: `verify` and `doctor` on one page, and what to do next.

    Changes nothing. Give it the head or the anchor that was kept: without one, nobody can tell that the end is missing.
    No broker is looked at where none is named. Exit code: the greater of those of `verify` (0, 1, 3) and of `doctor`
    (0, 1, 2).
    """
    report, failed = _verified(head, anchor, archives)
    findings = sorted(
        (found for found in doctor.examined(needs_broker=False) if found.severity > 0),
        key=lambda found: -found.severity,
    )
    steps = _steps(report, failed, findings)
    facts = {"newest_decision": _newest_decision() if report and report.rows else None}
    if as_json:
        looked = {"failed": failed} if report is None else verify.facts_as_json(report)
        rows = [doctor.as_row(found) for found in findings]
        show({**facts, "verify": looked, "doctor": rows, "next": steps}, as_json=True)
    else:
        if report:
            show(verify.facts_as_text(report) | facts, as_json=False)
            _tell_discrepancies(report)
        for found in findings:
            tell(f"{found.severity.word}: {found.name}: {found.seen}")
        for number, step in enumerate(steps, start=1):
            typer.echo(printable(f"{number}. {step}"))
    worst = max([1 if report is None else verify.exit_code(report), *(int(found.severity) for found in findings)])
    if worst:
        raise typer.Exit(worst)


def _verified(head: str | None, anchor: Path | None, archives: Path | None) -> tuple["VerificationReport | None", str]:
    """The report, or why there is none."""
    try:
        return verify.examined(head=head, anchor=anchor, archives=archives), ""
    except RunworkerError as error:
        return None, str(error)


def _newest_decision() -> Any:
    """When the last command was decided that is here: what was decided later is lost."""
    with on_demand.database.owner_connection() as connection:
        return connection.exec_driver_sql("SELECT max(decided_at) FROM commands").scalar()


def _steps(report: "VerificationReport | None", failed: str, findings: list["Finding"]) -> list[str]:
    """What to do, in this order."""
    names = {found.name for found in findings}
    discrepancies = report.discrepancies if report else []
    steps = [failed] if report is None else []
    if report and report.outcome == "not verified":
        steps.append("Run `runworker migrate`: the database is at another revision.")
    if names & {*_RIGHTS} or any(map(_is_of_rights, discrepancies)):
        steps.append("Run `runworker migrate`: it gives back the roles and rights that a restore has lost.")
    steps += [f"{found.name}: {found.remedy}" for found in findings if found.name not in _RIGHTS]
    if "sequences" not in names and not all(map(_is_of_rights, discrepancies)):
        steps.append("Restore another backup, or find out who changed this one: `runworker verify` tells all.")
    elif report and report.rows.get("production_runs") == 0:
        steps.append("Restore another backup, unless the plant has never had a run: there is none here.")
    if steps:
        return [*steps, "Run `runworker restore-check` again."]
    if report and report.head is None:
        steps.append("Ask with --head or --anchor, if one was kept: nothing else can tell that the end is missing.")
    return [*steps, "Start the workers, and have senders ask for all that they sent since the newest decision."]


def _is_of_rights(discrepancy: "Discrepancy") -> bool:
    return discrepancy.look == "schema" and " to " in discrepancy.row


def _tell_discrepancies(report: "VerificationReport") -> None:
    for discrepancy in report.discrepancies[:MOST_SHOWN]:
        tell(str(discrepancy))
    if (more := report.found - min(len(report.discrepancies), MOST_SHOWN)) > 0:
        tell(f"and {more} more, which `runworker verify` tells")
