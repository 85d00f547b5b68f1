"""Are the archives of the audit trail those that were made: each file as it was listed, what is left as they have it.

Events of the files go into a temporary table. A temporary view, which is found before the table of that name, puts them
before the later ones, so that every other look is one at the whole history. They go with the transaction.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from psycopg import DataError
from sqlalchemy import Connection, Row, text

from runworker.upkeep.archive_files import PATTERN, UNREADABLE, events_in
from runworker.upkeep.seal import BEGINNING, last_archived
from runworker.verification.discrepancies import Discrepancy, Question, Tell

LOOK: Final = "archives"

_LISTED: Final = "SELECT * FROM audit_archives WHERE file_name = '{row}'"
_LIST: Final = text("SELECT file_name, sha256, last_event_id FROM public.audit_archives ORDER BY month")

LEFT: Final = (
    Question(
        "audit_events",
        """
        SELECT kept.id::text AS row,
               CASE WHEN told.id IS NULL THEN format('%s has no such event', coalesce(archive.file_name, 'no archive'))
                    ELSE format('it is not as %s has it', archive.file_name) END AS problem,
               coalesce(left(told::text, 300), 'no event: it was added by hand') AS expected
        FROM public.audit_events AS kept LEFT JOIN archived_events AS told ON told.id = kept.id
             LEFT JOIN public.audit_archives AS archive
             ON kept.id BETWEEN archive.first_event_id AND archive.last_event_id
        WHERE kept.id <= :archived_to AND kept::text IS DISTINCT FROM told::text
        """,
        "SELECT * FROM audit_events WHERE id = {row}",
    ),
    # As is_forgettable has it.
    Question(
        "audit_events",
        """
        WITH last AS (
            SELECT max(event.id) AS id
            FROM archived_events AS event LEFT JOIN LATERAL jsonb_object_keys(
                CASE WHEN event.entity = 'run_step_executions' THEN coalesce(event.after, event.before) END
            ) AS step (key) ON true
            WHERE event.entity <> 'commands'
            GROUP BY event.entity, event.entity_id, step.key
            UNION SELECT min(id) FROM archived_events UNION SELECT max(id) FROM archived_events
        )
        SELECT last.id::text AS row, format('it is gone, and %s has it', archive.file_name) AS problem,
               'the last event of each row, and the first and last of all archived ones' AS expected
        FROM last JOIN public.audit_archives AS archive
             ON last.id BETWEEN archive.first_event_id AND archive.last_event_id
             LEFT JOIN public.audit_events AS kept ON kept.id = last.id
        WHERE kept.id IS NULL
        """,
        "the file",
    ),
)
"""What is left in the table of events that the files have, once these are `put_before` it."""


def listed(connection: Connection) -> Sequence[Row[Any]]:
    """The archives, as the database lists them. At an older revision there are none."""
    return () if last_archived(connection) is BEGINNING else connection.execute(_LIST).all()


def faults(archives: Sequence[Row[Any]], directory: Path) -> Iterator[Discrepancy]:
    """Files that are missing, changed, or listed nowhere."""
    for archive in archives:
        if (problem := _fault(directory / archive.file_name, archive.sha256)) is not None:
            yield _discrepancy(archive.file_name, problem, f"the file with SHA-256 {archive.sha256.hex()}")
    for name in sorted({file.name for file in directory.glob(PATTERN)} - {archive.file_name for archive in archives}):
        yield _discrepancy(name, "no row of audit_archives names this file", "the files that are listed")


def _fault(file: Path, sha256: bytes) -> str | None:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").digest()
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return None if found == sha256 else f"the file was changed: its SHA-256 is {found.hex()}"


_TABLE: Final = text("CREATE TEMPORARY TABLE archived_events (LIKE public.audit_events) ON COMMIT DROP")
_COPY: Final = "COPY pg_temp.archived_events FROM STDIN"
_INDEXES: Final = (
    text("CREATE INDEX ON pg_temp.archived_events (id)"),
    text("CREATE INDEX ON pg_temp.archived_events (entity_id, id)"),
    text("ANALYZE pg_temp.archived_events"),
)
_VIEW: Final = """
    CREATE TEMPORARY VIEW audit_events AS
    SELECT * FROM pg_temp.archived_events UNION ALL SELECT * FROM public.audit_events WHERE id > {}
"""
_FIRST_FOUND: Final = text("SET LOCAL search_path = pg_temp, public")


def load(connection: Connection, archives: Sequence[Row[Any]], directory: Path, tell: Tell) -> Iterator[Discrepancy]:
    """Read the events of all files into a temporary table. Yields a file that cannot be read, and stops there."""
    name = ""
    try:
        with connection.begin_nested():
            connection.execute(_TABLE)
            for number, archive in enumerate(archives):
                tell("archives: read", number, len(archives))
                _copy(connection, directory / (name := archive.file_name))
            for statement in _INDEXES:
                connection.execute(statement)
            tell("archives: read", len(archives), len(archives))
    except (*UNREADABLE, DataError) as error:
        said = str(error).splitlines()[0]
        yield _discrepancy(name, f"the file cannot be read: {said}", "events, as they were sealed")


def _copy(connection: Connection, file: Path) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        for event in events_in(file):
            copy.write_row(event)


def put_before(connection: Connection, archived_to: int) -> None:
    """Have `audit_events` mean, for the connection's transaction, what was loaded and the later events."""
    connection.execute(text(_VIEW.format(int(archived_to))))
    connection.execute(_FIRST_FOUND)


def _discrepancy(name: str, problem: str, expected: str) -> Discrepancy:
    return Discrepancy(LOOK, "audit_archives", name, problem, expected, _LISTED.replace("{row}", name))
