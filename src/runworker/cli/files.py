"""Files that commands write."""

from pathlib import Path

from runworker.errors import RunworkerError


class FileNotWritten(RunworkerError):
    """A result could not be written where it was asked for; the text says why."""


def write_file(file: Path, content: str) -> None:
    """Write a whole file as UTF-8, line ends as they are. Raises FileNotWritten."""
    try:
        file.write_text(content, encoding="utf-8", newline="")
    except OSError as error:
        raise FileNotWritten(
            f"Cannot write {file}: {error.strerror}. Give a file in a folder you may write to."
        ) from error
