"""Shows how a demo went, as tables for people."""

from rich import box
from rich.table import Column, Table
from rich.text import Text

from runworker.cli.output import stdout
from runworker.simulation import Report


def print_tables(report: Report) -> None:
    """Write the claims and the figures to stdout."""
    claims = Table("What was read back", Column("Violations", justify="right"), box=box.SIMPLE_HEAD)
    for check in report.checks:
        style = "red" if check.violations else "green"
        claims.add_row(check.claim, Text(str(len(check.violations)), style=style))
    figures = Table("What happened", Column(justify="right"), box=box.SIMPLE_HEAD)
    for name, value in report.figures.items():
        figures.add_row(name.replace("_", " ").capitalize(), f"{value}")
    stdout().print(claims, figures)
