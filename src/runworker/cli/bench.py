"""`runworker bench`: the door to benchmarks/, which is in the repository and not in the wheel."""

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show, tell
from runworker.errors import ConfigurationError


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="In under three minutes, what the ratios need.")] = False,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Measure only this. Repeat for more.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object with the figures, on the last line; no progress bars.")
    ] = False,
) -> None:
    """Measure runworker beside stock Celery and others, on the same servers, and check that nothing was lost.

    On durable embedded servers that end with it, or in databases of its own on those that RUNWORKER_DATABASE_URL and
    RUNWORKER_BROKER_URL name. Needs a checkout, into which the full run writes its figures: benchmarks/results.json and
    docs/performance.md. Exit code 1 where a command was lost.
    """
    checkout = _checkout()
    program = importlib.import_module("benchmarks.program")
    given = on_demand.opening.read_settings()
    with (
        on_demand.signal_guard.SignalGuard(),
        on_demand.embedded.temporary_directory() as directory,
        on_demand.progress.Progress(bars=not as_json) as progress,
    ):
        outcome = program.run_benchmark(given, directory, progress, quick=quick, only=only or [])
    for failure in outcome.failures:
        tell(f"not as it has to be: {failure}")
    if not quick:
        importlib.import_module("benchmarks.pages").write(outcome.as_dict(), checkout)
    if as_json:
        show(outcome.as_dict(), as_json=True)
    else:
        show(outcome.rates | outcome.ratios, as_json=False)
    if outcome.failures:
        raise typer.Exit(1)


def _checkout() -> Path:
    """The checkout that this package is run from, made importable. Raises ConfigurationError where it is none."""
    checkout = Path(__file__).resolve().parents[3]
    if not (checkout / "benchmarks" / "program.py").is_file():
        raise ConfigurationError(
            "The benchmark is not part of an installed runworker; run `uv run runworker bench` in a checkout."
        )
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    return checkout
