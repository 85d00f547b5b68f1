"""The command line. stdout carries results, stderr everything else.

Exit codes: 0 done, 1 an error of ours with its sentence on stderr, 2 wrong usage, 130 ctrl-C. `doctor` has those of
Nagios' plugins: 0 well, 1 a warning, 2 an error.

All commands are declared whenever one is asked for, so their modules import Typer and little else; what a command
works with it asks of `on_demand` when it runs.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from runworker import __version__
from runworker.cli import (
    bench,
    chaos,
    config,
    dead_letters,
    demo,
    doctor,
    flow,
    health,
    lots,
    migrate,
    restore_check,
    runs,
    seals,
    up,
    user,
    verify,
)
from runworker.cli.reporting import ReportingGroup

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    # Typer's own tracebacks are boxes for people; ours go to logs as well, and never show local variables.
    pretty_exceptions_enable=False,
    help="Takes a food plant's production commands from Celery and Redis and writes them to PostgreSQL.",
)
app.command("demo")(demo.demo)
app.command("chaos")(chaos.chaos)
app.command("bench")(bench.bench)
app.command("up")(up.up)
app.command("migrate")(migrate.migrate)
app.command("config")(config.config)
app.command("health")(health.health)
app.command("doctor")(doctor.doctor)
app.command("verify")(verify.verify)
app.command("restore-check")(restore_check.restore_check)
app.add_typer(user.app, name="user")
app.add_typer(flow.app, name="flow")
app.add_typer(runs.app, name="runs")
app.add_typer(lots.app, name="lots")
app.add_typer(seals.app, name="seals")
app.add_typer(dead_letters.app, name="dead-letters")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"runworker {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script. Ends with 1 where stdout takes no more: said, unless nobody reads it."""
    if sys.stdout is None:  # closed, as by `>&-`: nobody wants results
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        if error.errno != errno.EPIPE:
            sys.stderr.write(f"runworker: stdout takes no more: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes when it ends
        sys.exit(1)
