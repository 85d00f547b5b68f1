"""Names that revisions are going to give, and that something has already."""

import re
from collections.abc import Iterator
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from runworker.migration_check.course import BASELINE, Course
from runworker.migration_check.findings import MigrationFinding, stops
from runworker.migration_check.tables import things

LOT_TYPES: Final = "20261129_5_lots"
"""The revision that tells 15 from 30."""

CONSTRAINT_NAMES: Final = "20261202_1_constraint_names"
"""The revision that gives an older system's constraints their names."""

_UNFINISHED: Final = re.compile(r" NOT VALID$| \(not valid\)$")
"""What is said of a constraint or an index that a revision has begun with."""

KEYS: Final = ("pk_", "uq_", "ex_")
"""Beginnings of the names of constraints that have an index of the same name."""

_REPLACED: Final = frozenset({
    "prevent_published_flow_version_modification()", "trg_flow_version_immutable", "ck_flow_versions_status",
    "ck_production_runs_status", "flow_versions_status_check", "production_runs_status_check",
})  # fmt: skip
"""What an older system, or the specified SQL, may have made: its revision puts its own in their place."""

_TAKEN: Final = text("""
    SELECT 'relation' AS kind, '' AS home, relname::text AS name,
           CASE relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'TABLE' WHEN 'v' THEN 'VIEW'
                        WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
                        WHEN 'c' THEN 'TYPE' ELSE 'INDEX' END AS word
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'type', '', typname::text, 'TYPE' FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typrelid = 0 AND typelem = 0
    UNION ALL
    SELECT 'column', home.relname::text, attname::text, 'COLUMN'
    FROM pg_attribute JOIN pg_class AS home ON home.oid = attrelid
    WHERE home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables) AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', home.relname::text, conname::text, 'CONSTRAINT'
    FROM pg_constraint JOIN pg_class AS home ON home.oid = conrelid
    WHERE home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables)
    UNION ALL
    SELECT 'trigger', home.relname::text, tgname::text, 'TRIGGER'
    FROM pg_trigger JOIN pg_class AS home ON home.oid = tgrelid
    WHERE home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables)
    UNION ALL
    SELECT 'function', '', oid::regprocedure::text, CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


def taken(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Tables, columns, constraints, indexes, triggers, functions and types that are there already."""
    rows = connection.execute(_TAKEN, {"tables": list(course.tables)}).all()
    there = {(row.kind, row.home, row.name): row.word for row in rows}
    given = _to_be_given(course)
    if _is_begun(connection, course):
        given = {name: revision for name, revision in given.items() if revision != course.ahead[0]}
    if CONSTRAINT_NAMES in course.ahead:
        right = course.wanted & set(things(connection, course, "constraint"))
        for thing in course.wanted - right:
            if thing.kind == "constraint" and thing.home in course.tables:
                given["constraint", thing.home, thing.name] = CONSTRAINT_NAMES
                if thing.name.startswith(KEYS):
                    given["relation", "", thing.name] = CONSTRAINT_NAMES
    for wanted, revision in sorted(given.items()):
        if wanted in there and wanted[2] not in _REPLACED:
            yield _finding(wanted, there[wanted], revision)


def _is_begun(connection: Connection, course: Course) -> bool:
    """Whether the next revision was interrupted: a constraint or index of it is there, as it makes it."""
    made = {thing for thing in course.made_next if thing.kind in ("constraint", "index")}
    there = [*things(connection, course, "constraint"), *things(connection, course, "index")]
    return any(thing._replace(said=_UNFINISHED.sub("", thing.said)) in made for thing in there)


def _to_be_given(course: Course) -> dict[tuple[str, str, str], str]:
    """Each name with what it has to be free among, and the revision that gives it."""
    wanted: dict[tuple[str, str, str], str] = {}
    for (kind, home, name), revision in course.created.items():
        if kind in ("column", "constraint", "trigger") and home in course.tables:
            wanted[kind, home, name] = revision
        if kind in ("table", "index") or (kind == "constraint" and name.startswith(KEYS)):
            wanted["relation", "", name] = revision
        if kind in ("table", "type"):
            wanted["type", "", name] = revision
        if kind == "function":
            wanted["function", "", name] = revision
    if BASELINE in course.ahead:
        wanted["type", "", "lot_type"] = BASELINE
    return wanted


def _finding(wanted: tuple[str, str, str], word: str, revision: str) -> MigrationFinding:
    kind, home, name = wanted
    shown = f"{home}.{name}" if kind == "column" else name
    bare = name.partition("(")[0]
    remedies = {
        "COLUMN": f"ALTER TABLE {home} RENAME COLUMN {name} TO {name}_before",
        "CONSTRAINT": f"ALTER TABLE {home} RENAME CONSTRAINT {name} TO {name}_before",
        "TRIGGER": f"ALTER TRIGGER {name} ON {home} RENAME TO {name}_before",
    }
    where = f" on {home}" if kind in ("constraint", "trigger") else ""
    return stops(
        f"{word.lower()} {shown}",
        f"It is there{where} already.",
        f"The revision {revision} creates one of this name.",
        remedies.get(word, f"ALTER {word} {name} RENAME TO {bare}_before")
        + ". Where all that this revision makes is there, as it makes it: alembic stamp "
        + revision,
    )
