"""What a superuser may do to an archived database, or anybody to its files, and what verification says of it."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.integration.tampering import without_triggers

FIRST = "(SELECT last_event_id FROM audit_archives ORDER BY month LIMIT 1)"
KEPT_LOT = f"(SELECT max(id) FROM audit_events WHERE entity = 'lots' AND id <= {FIRST})"


class OfTheDatabase(NamedTuple):
    """What is done in SQL, and what is said of it by a look that has the files, and by one that has not.

    {file} is the first month's. Where a look without files says nothing, that is None.
    """

    change: str
    said: str
    without_files: str | None


class OfTheFiles(NamedTuple):
    """What is done to a file, and what is said of it."""

    change: Callable[[Path], object]
    said: str


DATABASE = {
    name: OfTheDatabase(without_triggers(change), *said)
    for name, (change, *said) in {
        "a kept event deleted": (
            f"DELETE FROM audit_events WHERE id = {KEPT_LOT}",
            "it is gone, and {file} has it",
            "no event says how the row came to be",
        ),
        "a kept event and its row changed": (
            "UPDATE audit_events SET after = jsonb_set(after, '{temperature_c}', '1')"
            f" WHERE id = {KEPT_LOT}; UPDATE lots SET temperature_c = 1"
            f" WHERE id = (SELECT entity_id FROM audit_events WHERE id = {KEPT_LOT})",
            "it is not as {file} has it",
            None,
        ),
        "a kept event given a digit": (
            "UPDATE audit_events SET after = jsonb_set(after, '{weight_kg}', ((after ->> 'weight_kg') || '0')::jsonb)"
            f" WHERE id = {KEPT_LOT}",
            "it is not as {file} has it",
            None,
        ),
        "an event added among archived ones": (
            "INSERT INTO audit_events (id, entity, entity_id, operation, before, after, db_user, xact_id)"
            " OVERRIDING SYSTEM VALUE SELECT (SELECT max(n) FROM generate_series(1, 60) AS n"
            " WHERE n NOT IN (SELECT id FROM audit_events)), entity, entity_id, operation, before, after, db_user,"
            " xact_id FROM audit_events ORDER BY id LIMIT 1",
            "it is not as {file} has it",
            None,
        ),
        "a list without its last archive": (
            "DELETE FROM audit_archives WHERE month = (SELECT max(month) FROM audit_archives)",
            "no row of audit_archives names this file",
            "its events begin with a UPDATE",
        ),
        "a list without archives": (
            "TRUNCATE audit_archives",
            "no row of audit_archives names this file",
            "and there are fewer",
        ),
        "an archive listed with another hash": (
            "UPDATE audit_archives SET sha256 = sha256('x')",
            "the file was changed",
            None,
        ),
        "an archive listed that was never made": (
            "INSERT INTO audit_archives SELECT month + 31, last_seal_id + 1, last_seal_id + 1, last_event_id + 1,"
            " last_event_id + 2, 2, 'audit-9999-01.jsonl.gz', '' FROM audit_archives ORDER BY month DESC LIMIT 1",
            "the file is missing",
            "it is of seals",
        ),
        "an archived seal changed": (
            "UPDATE audit_seals SET sha256 = sha256('x') WHERE id = (SELECT min(id) FROM audit_seals)",
            "its hash does not fit",
            None,
        ),
        "an archived seal deleted": (
            "DELETE FROM audit_seals WHERE id = (SELECT min(id) FROM audit_seals)",
            "it does not follow the seal before it",
            "it is of seals",
        ),
        "an event behind the archives deleted": (
            "DELETE FROM audit_events WHERE id = (SELECT max(last_event_id) + 1 FROM audit_archives)",
            "and there are fewer",
            "and there are fewer",
        ),
        "an archived row changed": (
            "UPDATE lots SET weight_kg = 9 WHERE id = (SELECT min(id::text)::uuid FROM lots)",
            "weight_kg = 9",
            "weight_kg = 9",
        ),
    }.items()
}


def _change(file: Path) -> None:
    """Pack a file again, with one word in it changed."""
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b'"INSERT"', b'"UPDATE"', 1)))


def _put_a_folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


FILES = {
    "a file deleted": OfTheFiles(Path.unlink, "the file is missing"),
    "a file changed": OfTheFiles(_change, "the file was changed"),
    "a file cut off": OfTheFiles(lambda file: file.write_bytes(file.read_bytes()[:-9]), "the file was changed"),
    "another month's file": OfTheFiles(
        lambda file: file.write_bytes(max(file.parent.iterdir()).read_bytes()), "the file was changed"
    ),
    "a file renamed": OfTheFiles(lambda file: file.rename(file.with_name("jan.jsonl.gz")), "the file is missing"),
    "a folder in place of a file": OfTheFiles(_put_a_folder_there, "the file cannot be read"),
}
"""Done to the first month's file, which is named."""
