"""`runworker doctor`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show
from runworker.errors import RunworkerError

if TYPE_CHECKING:
    from runworker.doctor import Finding

SETTINGS = "settings"


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: the worst severity, and all findings.")
    ] = False,
) -> None:
    """Look at servers, rights, settings and what lies about, and say what to do. Changes nothing.

    Exit code 0 where all is well, 1 where the worst finding is a warning, 2 where it is an error. The worst stand last.
    In a pipe: a line a finding, with tabs.
    """
    findings = examined()
    worst = max(found.severity for found in findings)
    rows = [as_row(found) for found in sorted(findings, key=lambda found: found.severity)]
    if as_json:
        show({"severity": worst.word, "findings": rows}, as_json=True)
    else:
        on_demand.output.show_findings(rows)
    raise typer.Exit(max(worst, 0))


def examined(*, needs_broker: bool = True) -> "list[Finding]":
    """All findings, a wrong setting among them, without which nothing else can be looked at.

    needs_broker: look for a broker also where settings name none.
    """
    doctor = on_demand.doctor
    try:
        settings = on_demand.opening.find_servers()
    except RunworkerError as failed:
        return [
            doctor.Finding(
                SETTINGS, doctor.Severity.ERROR, str(failed), "No process of runworker starts.", "runworker config"
            )
        ]
    groups = doctor.GROUPS if needs_broker or settings.broker_url else doctor.WITHOUT_BROKER
    many = len(doctor.all_checks())
    with on_demand.progress.Progress(bars=True) as progress:
        made = iter(range(1, many + 1))
        return list(
            doctor.examine(doctor.Access(settings), groups, lambda name: progress.show("looking", next(made), many))
        )


def as_row(found: "Finding") -> dict[str, Any]:
    """A finding as it is shown."""
    return {
        "severity": found.severity.word,
        "name": found.name,
        "seen": found.seen,
        "why": found.why,
        "remedy": found.remedy,
    }
