"""Output that is more than a few lines: files, and what is wider than a terminal may be."""

from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType

from runworker.errors import RunworkerError


class FileNotWritten(RunworkerError):
    """A result could not be written where it was asked for; the text says why."""


WIDEST: Final = 500
"""Columns; a terminal wraps what is longer than its own, and nothing is cut off where output goes to a file."""


def print_wide(content: RenderableType) -> None:
    """Write to stdout, never wrapped or cut to the terminal's width."""
    Console(width=WIDEST, highlight=False).print(content)


def write_file(file: Path, content: str) -> None:
    """Write a whole file as UTF-8, line ends as they are. Raises FileNotWritten."""
    try:
        file.write_text(content, encoding="utf-8", newline="")
    except OSError as error:
        raise FileNotWritten(
            f"Cannot write {file}: {error.strerror}. Give a file in a folder you may write to."
        ) from error
