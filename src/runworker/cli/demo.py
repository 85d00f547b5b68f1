"""`runworker demo`."""

import secrets
import time
from typing import TYPE_CHECKING, Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show, tell

if TYPE_CHECKING:
    from runworker.simulation import Report

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
    given = on_demand.opening.read_settings()
    if day and runs is not None:
        raise typer.BadParameter("a day has its own runs; leave one of --day and --runs out")
    seed = secrets.randbelow(HIGHEST_SEED + 1) if seed is None else seed
    tell(f"the seed is {seed}; repeat this plan with --seed {seed}")
    simulation = on_demand.simulation
    with (
        on_demand.signal_guard.SignalGuard() as signals,
        on_demand.embedded.temporary_directory() as directory,
        on_demand.provisioning.ready_servers(given.model_copy(update={"data_dir": directory})) as (settings, _),
        on_demand.database.owner_database(settings) as database,
        on_demand.progress.Progress(bars=not as_json) as progress,
    ):
        on = simulation.DemoContext(settings, database, directory / "workers.log", progress, signals.check, began)
        size = simulation.WHOLE_DAY if day else runs or RUNS
        report = simulation.run_demo(simulation.DemoRequest(size, workers, seed), on)
    _say(report, as_json=as_json)
    if report.violations:
        raise typer.Exit(1)


def _say(report: "Report", *, as_json: bool) -> None:
    for violation in report.violations[:SHOWN_VIOLATIONS]:
        tell(f"violation: {violation}")
    if (more := len(report.violations) - SHOWN_VIOLATIONS) > 0:
        tell(f"and {more} violations more")
    if as_json:
        show(report.figures, as_json=True)
    else:
        on_demand.demo_tables.print_tables(report)
