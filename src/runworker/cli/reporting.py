"""Output of commands: results on stdout, and one clear message on stderr when a command fails."""

import json
import sys
from datetime import datetime
from typing import Any

import typer
from typer.core import TyperGroup

from runworker.errors import InvalidMessage, Rejected, RunworkerError
from runworker.safe_text import printable, without_passwords


class ReportingGroup(TyperGroup):
    """The root of all commands: errors made on purpose become a message and exit code 1."""

    def invoke(self, ctx: Any) -> Any:  # typer has no public name for what its groups are given
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (Rejected, InvalidMessage) as error:
            tell(f"{error.code}: {error.message}")
        except RunworkerError as error:
            tell(str(error))
        raise typer.Exit(1)


def tell(message: str) -> None:
    """Write a message to stderr, fit for a terminal whatever it quotes, and without passwords."""
    typer.echo(f"runworker: {printable(without_passwords(message))}", err=True)


def confirm(question: str, option: str) -> None:
    """Go on if somebody at a terminal says yes; end the command otherwise. option: what says yes where nobody is."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody can be asked here: say {option}", param_hint=option)
    # Not Typer's own question, which writes a blank to stdout, where results go.
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def show(result: Any, *, as_json: bool) -> None:
    """Write a result to stdout: one JSON value on a line, or a line a field."""
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False, default=_on_the_wire))
        return
    width = max(map(len, result))
    for name, value in result.items():
        typer.echo(f"{name:{width}}  {printable(shown(value))}")


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _on_the_wire(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
