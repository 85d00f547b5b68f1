"""How a demo went: figures that were read back or counted, and what speaks against it."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from runworker.demo.evidence import Evidence
from runworker.demo.proof import Check
from runworker.demo.script import Claim
from runworker.states import CommandStatus, RunStatus


@dataclass(frozen=True)
class Figures:
    """What `--json` prints. runs to rejected come from the database, but for messages_sent; seconds is all of it."""

    runs: int
    completed: int
    aborted: int
    messages_sent: int
    commands_applied: int
    replays: int
    rejected: int
    worker_kills: int
    violations: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """Figures and every claim with what speaks against it. gave_up: why the demo did not wait for the end, if so."""

    figures: Figures
    checks: Sequence[Check]
    gave_up: str | None

    @property
    def violations(self) -> list[str]:
        """Everything that is not as it has to be."""
        found = list(chain.from_iterable(check.violations for check in self.checks))
        return [self.gave_up, *found] if self.gave_up else found

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self.figures)

    def print(self) -> None:
        """Write the claims and the figures to stdout, as tables for people."""
        console = Console()
        claims = Table("What was read back", Column("Violations", justify="right"), box=box.SIMPLE_HEAD)
        for check in self.checks:
            style = "red" if check.violations else "green"
            claims.add_row(check.claim, Text(str(len(check.violations)), style=style))
        figures = Table("What happened", Column(justify="right"), box=box.SIMPLE_HEAD)
        for name, value in self.as_dict().items():
            figures.add_row(name.replace("_", " ").capitalize(), f"{value}")
        console.print(claims, figures)


def report(claim: Claim, evidence: Evidence, checks: Sequence[Check], *, gave_up: str | None, began: float) -> Report:
    """Count what is in the evidence, and what was sent and killed. began: reading of time.monotonic()."""
    ours = {life.run_id for life in claim.lives}
    ends = Counter(run.status for run in evidence.runs if run.id in ours)
    rows = [row for row in evidence.ledger if row.idempotency_key in claim.scripted]
    verdicts = Counter(row.status for row in rows)
    figures = Figures(
        runs=ends.total(),
        completed=ends[RunStatus.COMPLETED],
        aborted=ends[RunStatus.ABORTED],
        messages_sent=sum(claim.copies.values()),
        commands_applied=verdicts[CommandStatus.APPLIED],
        replays=sum(row.deliveries - 1 for row in rows if row.deliveries),
        rejected=verdicts[CommandStatus.REJECTED],
        worker_kills=claim.kills,
        violations=sum(len(check.violations) for check in checks) + bool(gave_up),
        seconds=round(time.monotonic() - began, 2),
    )
    return Report(figures, checks, gave_up)
