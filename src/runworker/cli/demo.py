"""`runworker demo`."""

import secrets
import time
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from runworker.cli.opening import owner_database, read_settings
from runworker.cli.progress import Progress
from runworker.cli.reporting import show, tell
from runworker.cli.signal_guard import SignalGuard
from runworker.embedded import temporary_directory
from runworker.servers import ready_servers
from runworker.simulation import WHOLE_DAY, DemoContext, DemoRequest, Report, run_demo

RUNS = 20
SHOWN_VIOLATIONS = 50
HIGHEST_SEED = 2**32 - 1


def demo(
    runs: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Production runs to send through their lives.", show_default="20"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes, of which one is killed.")] = 2,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=HIGHEST_SEED, help="Repeats a plan: who is held or aborted, what comes when."),
    ] = None,
    day: Annotated[
        bool,
        typer.Option("--day", help="A plant's day: several flows, hundreds of lots, quality control, a recall."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object with the figures; no progress bars.")
    ] = False,
) -> None:
    """Send runs through their lives, shuffled and repeated; kill a worker; prove that all came out right.

    On embedded servers that end with it, or on those that RUNWORKER_DATABASE_URL and RUNWORKER_BROKER_URL name; there
    it works on users, flows, a queue and a site of its own. Exit code 1 where anything is not as it has to be.
    """
    began = time.monotonic()
    given = read_settings()
    if day and runs is not None:
        raise typer.BadParameter("a day has its own runs; leave one of --day and --runs out")
    seed = secrets.randbelow(HIGHEST_SEED + 1) if seed is None else seed
    tell(f"the seed is {seed}; repeat this plan with --seed {seed}")
    with (
        SignalGuard() as signals,
        temporary_directory() as directory,
        ready_servers(given.model_copy(update={"data_dir": directory})) as (settings, _),
        owner_database(settings) as database,
        Progress(bars=not as_json) as progress,
    ):
        on = DemoContext(settings, database, directory / "workers.log", progress, signals.check, began)
        report = run_demo(DemoRequest(WHOLE_DAY if day else runs or RUNS, workers, seed), on)
    _say(report, as_json=as_json)
    if report.violations:
        raise typer.Exit(1)


def _say(report: Report, *, as_json: bool) -> None:
    for violation in report.violations[:SHOWN_VIOLATIONS]:
        tell(f"violation: {violation}")
    if (more := len(report.violations) - SHOWN_VIOLATIONS) > 0:
        tell(f"and {more} violations more")
    if as_json:
        show(report.figures, as_json=True)
    else:
        print_tables(report)


def print_tables(report: Report) -> None:
    """Write the claims and the figures to stdout, as tables for people."""
    claims = Table("What was read back", Column("Violations", justify="right"), box=box.SIMPLE_HEAD)
    for check in report.checks:
        style = "red" if check.violations else "green"
        claims.add_row(check.claim, Text(str(len(check.violations)), style=style))
    figures = Table("What happened", Column(justify="right"), box=box.SIMPLE_HEAD)
    for name, value in report.figures.items():
        figures.add_row(name.replace("_", " ").capitalize(), f"{value}")
    Console().print(claims, figures)
