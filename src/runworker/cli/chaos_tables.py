"""Shows how a run of chaos went, as tables for people."""

from rich import box
from rich.table import Column, Table
from rich.text import Text

from runworker.cli.output import stdout
from runworker.simulation.chaos import ChaosReport


def print_tables(report: ChaosReport) -> None:
    """Write faults, figures and claims to stdout."""
    faults = Table(
        "Fault",
        Column("Times", justify="right"),
        Column("Slowest first decision, s", justify="right"),
        box=box.SIMPLE_HEAD,
    )
    for name, fault in report.figures["faults"].items():
        faults.add_row(name, f"{fault['times']}", f"{fault['slowest_first_decision_seconds']}")
    figures = Table("What happened", Column(justify="right"), box=box.SIMPLE_HEAD)
    for name in ("seed", "seconds", "commands", "messages", "damaged_messages", "applied", "rejected"):
        figures.add_row(name.replace("_", " ").capitalize(), f"{report.figures[name]}")
    for name, times in {**report.figures["workers"], **report.figures["inside_workers"]}.items():
        figures.add_row(name.replace("-", " ").capitalize(), f"{times}")
    claims = Table("What the checker found", Column("Violations", justify="right"), box=box.SIMPLE_HEAD)
    for name, violations in report.kinds.items():
        claims.add_row(name, Text(str(len(violations)), style="red" if violations else "green"))
    stdout().print(faults, figures, claims)
