"""Files of archived audit events: for each seal a line that names its hashes, and the lines that it was taken over.

A file is text in UTF-8, packed by gzip. The lines that name a seal begin with a curly bracket, all others with a
square one. A seal is checked without runworker: the SHA-256 over the 32 bytes of `previous_sha256` and then, as they
stand, each with its newline, the lines up to the next curly bracket.
"""

import gzip
import hashlib
import io
import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row

from runworker.errors import RunworkerError

PATTERN: Final = "audit-*.jsonl.gz"
_CHUNK: Final = 1 << 20


class NotArchived(RunworkerError):
    """A month of audit events was not archived, and no event of it left the table; the text says why and what to do."""


def name_of(month: date) -> str:
    """The name of a month's file."""
    return f"audit-{month:%Y-%m}.jsonl.gz"


def heading(seal: Row[Any]) -> str:
    """The line that names a seal, one of `seal_lines.SEALS`."""
    return json.dumps({"seal": seal.id, "previous_sha256": seal.previous_sha256.hex(), "sha256": seal.sha256.hex()})


def write(file: Path, lines: Iterable[str]) -> None:
    """Write a file and see it onto the disk. The same lines make the same file. Raises NotArchived."""
    try:
        with file.open("wb") as raw:
            with io.BufferedWriter(gzip.GzipFile("", "wb", fileobj=raw, mtime=0), _CHUNK) as packed:
                for line in lines:
                    packed.write(line.encode() + b"\n")
            raw.flush()
            os.fsync(raw.fileno())
    except OSError as error:
        raise _not_written(file, error) from error


def rename(file: Path, name: str) -> Path:
    """Give a file its name, and see that onto the disk too. Raises NotArchived."""
    named = file.with_name(name)
    try:
        file.rename(named)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _not_written(named, error) from error
    return named


def check(file: Path, previous: bytes, seals: Iterable[Row[Any]]) -> bytes:
    """Read a file back, recompute its seals, and return the file's SHA-256.

    previous: hash of the seal before the first. seals: those of the database that the file shall hold, all of them and
    no others. Raises NotArchived where it does not.
    """
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").digest()
        lines = unpacked(file)
        for seal in seals:
            named = next(lines, b"") == heading(seal).encode() + b"\n"
            digest = hashlib.sha256(previous)
            for line in itertools.islice(lines, 1 + seal.events):
                digest.update(line)
            if not named or digest.digest() != seal.sha256:
                raise NotArchived(f"{file} does not hold what seal {seal.id} was taken over")
            previous = seal.sha256
        if next(lines, None) is not None:
            raise NotArchived(f"{file} holds more than this month's events")
    except UNREADABLE as error:
        raise NotArchived(f"{file} cannot be read: {error}") from error
    return found


UNREADABLE: Final = (OSError, EOFError, zlib.error, ValueError)
"""What reading a file raises that is missing, damaged, or none of ours."""


def unpacked(file: Path) -> Iterator[bytes]:
    """The lines of a file. Raises one of UNREADABLE."""
    with gzip.open(file, "rb") as lines:
        yield from lines


def events_in(file: Path) -> Iterator[list[Any]]:
    """The events of a file, as their lines have them. Raises one of UNREADABLE."""
    described = True
    for line in unpacked(file):
        if line.startswith(b"{"):
            described = False
        elif described:
            yield json.loads(line)
        else:
            described = True


def _not_written(file: Path, error: OSError) -> NotArchived:
    return NotArchived(f"Cannot write {file}: {error.strerror}. Give a folder that is there and that you may write to.")
