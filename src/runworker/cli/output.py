"""Output that is more than a few lines: tables, files, and what is wider than a terminal may be."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from runworker.cli.reporting import shown
from runworker.errors import RunworkerError
from runworker.safe_text import printable


class FileNotWritten(RunworkerError):
    """A result could not be written where it was asked for; the text says why."""


ENDLESS: Final = 10**6
"""Columns of what is no terminal: nothing is folded or cut off where output goes to a pipe or a file."""


def stdout() -> Console:
    """What tables and trees are written to: as wide as the terminal, and without an end where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else _endless()


def _endless() -> Console:
    return Console(width=ENDLESS, highlight=False)


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows to stdout as a table with long cells folded; to what is no terminal as `show_lines` does."""
    console = stdout()
    if not console.is_terminal:
        show_lines(rows, columns)
        return
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        # As Text: what a sender wrote is shown and not taken for markup.
        table.add_row(*(Text(printable(shown(row[column])), overflow="fold") for column in columns))
    console.print(table)


def show_lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write a line a row to stdout. A terminal gets heads, each column a fifth of its width at most, the last the rest.

    What is no terminal gets the whole of each value, tabs between them and no heads.
    """
    console = stdout()
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(_on_one_line(row[column]) for column in columns))
        return
    most = console.width // 5
    firsts = (Column(name, no_wrap=True, max_width=most) for name in columns[:-1])
    table = Table(*firsts, columns[-1], box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*(Text(_on_one_line(row[name]), no_wrap=True, overflow="ellipsis") for name in columns))
    console.print(table)


STYLES: Final = {
    "ok": "green", "note": "cyan", "warning": "yellow", "error": "red", "bends": "yellow", "stops": "red",
}  # fmt: skip


def show_findings(rows: Sequence[Mapping[str, str]]) -> None:
    """Write findings to stdout: severity, name, and under what was seen why it matters and what to do."""
    console = stdout()
    if not console.is_terminal:
        show_lines(rows, ("severity", "name", "seen", "why", "remedy"))
        return
    table = Table("", "check", "found", box=box.SIMPLE_HEAD)
    for row in rows:
        found = Text(printable(row["seen"]), overflow="fold")
        if row["why"]:
            found.append(f"\n{printable(row['why'])}", style="dim")
        if row["remedy"]:
            found.append(f"\n> {printable(row['remedy'])}", style="bold")
        table.add_row(Text(row["severity"], style=STYLES[row["severity"]]), Text(row["name"]), found)
    console.print(table)


def _on_one_line(value: Any) -> str:
    return printable(" ".join(shown(value).split()))


def print_wide(content: RenderableType) -> None:
    """Write to stdout, never folded or cut to the terminal's width, which wraps it by itself."""
    _endless().print(content)


def write_file(file: Path, content: str) -> None:
    """Write a whole file as UTF-8, line ends as they are. Raises FileNotWritten."""
    _write(file, content, "w")


def add_line(file: Path, line: str) -> None:
    """Add a line to a file, which may not be there yet. Raises FileNotWritten."""
    _write(file, f"{line}\n", "a")


def _write(file: Path, content: str, mode: str) -> None:
    try:
        with file.open(mode, encoding="utf-8", newline="") as opened:
            opened.write(content)
    except OSError as error:
        raise FileNotWritten(
            f"Cannot write {file}: {error.strerror}. Give a file in a folder you may write to."
        ) from error
