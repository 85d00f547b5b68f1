"""`runworker chaos`."""

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show, tell

if TYPE_CHECKING:
    from runworker.simulation.chaos import ChaosReport

HIGHEST_SEED = 2**32 - 1


def chaos(
    minutes: Annotated[
        float, typer.Option(min=0.1, max=24 * 60, help="How long faults come. Ten see each of them five times.")
    ] = 10.0,
    seed: Annotated[
        int | None, typer.Option(min=0, max=HIGHEST_SEED, help="Repeats a plan: the same faults, in the same order.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Where the client's history and the workers' logs are kept if anything is wrong."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; no progress bars.")] = False,
) -> None:
    """Kill workers and servers under load, and prove that no command was lost, doubled or told wrongly.

    On servers of its own, which end with it: a PostgreSQL with a standby, and a broker. Nothing in the environment
    leads to others. Exit code 1 where anything is not as it has to be.
    """
    seed = secrets.randbelow(HIGHEST_SEED + 1) if seed is None else seed
    tell(f"the seed is {seed}; repeat this plan with --seed {seed}")
    kept = keep or Path(f"runworker-chaos-{seed}")
    trial = on_demand.chaos
    with (
        on_demand.signal_guard.SignalGuard() as signals,
        on_demand.embedded.temporary_directory() as directory,
        on_demand.progress.Progress(bars=not as_json) as progress,
    ):
        try:
            report = trial.chaos_on_own_servers(trial.ChaosPlan(minutes * 60, seed), directory, progress, signals.check)
        except Exception:
            _keep(directory, kept)
            raise
        if not report.is_clean:
            _keep(directory, kept)
    _say(report, kept, as_json=as_json)
    if not report.is_clean:
        raise typer.Exit(1)


def _keep(directory: Path, kept: Path) -> None:
    shutil.copytree(directory, kept, dirs_exist_ok=True)
    tell(f"the client's history and the workers' logs are in {kept}")


def _say(report: "ChaosReport", kept: Path, *, as_json: bool) -> None:
    for sentence in report.examples:
        tell(f"violation: {sentence}")
    if not report.is_clean:
        tell(f"to follow a command: grep KEY {kept}/history.jsonl {kept}/*.log")
    if as_json:
        show(report.as_dict, as_json=True)
    else:
        on_demand.chaos_tables.print_tables(report)
