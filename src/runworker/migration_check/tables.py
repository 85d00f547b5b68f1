"""Tables that are there: what they are, and whether their columns are those that revisions build on."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from runworker.migration_check.course import Course
from runworker.migration_check.findings import MigrationFinding, bends, listed, stops
from runworker.verification.catalogue import Thing, catalogue

_KINDS: Final = text("""
    SELECT home.relname::text AS name,
           CASE home.relkind WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view'
                             WHEN 'f' THEN 'a foreign table' WHEN 'r' THEN NULL ELSE 'no table' END AS kind,
           home.relpersistence = 'u' AS unlogged, home.relforcerowsecurity AS forced, home.relrowsecurity AS secured,
           ARRAY(SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = home.oid ORDER BY 1) AS children,
           ARRAY(SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = home.oid ORDER BY 1) AS parents,
           ARRAY(SELECT rulename::text FROM pg_rewrite WHERE ev_class = home.oid AND home.relkind = 'r' ORDER BY 1)
               AS rules
    FROM pg_class AS home
    WHERE home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables) ORDER BY 1
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


def kinds(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Tables that are none, or not plain ones."""
    logged = {thing.home for thing in course.wanted if thing.kind == "table" and thing.said.endswith(", logged")}
    for row in connection.execute(_KINDS, {"tables": list(course.tables)}):
        name = f"table {row.name}"
        if row.kind:
            yield stops(name, f"It is {row.kind}.", "Revisions alter it as a plain table.", f"Make {row.name} a table.")
        if row.unlogged and row.name in logged:
            yield stops(
                name,
                "It is UNLOGGED.",
                "No logged table may refer to it, and a crash of the server empties it.",
                f"ALTER TABLE {row.name} SET LOGGED",
            )
        if row.children or row.parents:
            yield stops(
                name,
                f"It inherits: {listed([*row.children, *row.parents])}.",
                "Guards and audit triggers see the rows of one table only.",
                f"Move the rows into {row.name} itself, and ALTER TABLE ... NO INHERIT.",
            )
        if row.forced:
            yield stops(
                name,
                "Row-level security is FORCED on it.",
                "A revision that moves rows would not see all of them.",
                f"ALTER TABLE {row.name} NO FORCE ROW LEVEL SECURITY",
            )
        elif row.secured:
            yield bends(
                name,
                "Row-level security is on.",
                "Workers take nothing while it may hide rows from them.",
                f"CREATE POLICY worker ON {row.name} TO runworker_worker USING (true), once the role is there;"
                " restrictive policies go.",
            )
        for rule in row.rules:
            yield stops(
                name,
                f"The rule {rule} rewrites its statements.",
                "INSERT ... ON CONFLICT, which workers use, is refused on a table with rules.",
                f"DROP RULE {rule} ON {row.name}",
            )


class _Column(NamedTuple):
    """A column as the catalogue tells it: its type, whether it may be NULL, its default."""

    type: str
    not_null: bool
    default: str | None


_COLUMN: Final = re.compile(r"(.*?)( NOT NULL)?(?: DEFAULT (.*?))?(?: GENERATED (?:ALWAYS|BY DEFAULT) AS IDENTITY)?$")
_VARCHAR: Final = re.compile(r"character varying(?:\((\d+)\))?$|(text)$")
_NUMERIC: Final = re.compile(r"numeric(?:\((\d+),(\d+)\))?$")

_GENERATED: Final = text("""
    SELECT home.relname::text AS home, attname::text AS name
    FROM pg_attribute JOIN pg_class AS home ON home.oid = attrelid
    WHERE home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables)
      AND attgenerated <> '' AND NOT attisdropped
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


def columns(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Columns that are missing, of another type, or that commands could not fill."""
    there = {(thing.home, thing.name): _read(thing) for thing in things(connection, course, "column")}
    generated = {tuple(row) for row in connection.execute(_GENERATED, {"tables": list(course.tables)})}
    in_the_end = {(thing.home, thing.name): _read(thing) for thing in course.in_the_end if thing.kind == "column"}
    wanted = {
        (thing.home, thing.name): _read(thing)
        for thing in course.wanted
        if thing.kind == "column" and thing.home in course.tables
    }
    for (home, name), column in sorted(wanted.items()):
        on, alter = f"column {home}.{name}", f"ALTER TABLE {home} ALTER COLUMN {name}"
        found = there.get((home, name))
        if found is None:
            yield stops(
                on,
                "It is missing.",
                "Revisions and workers use it.",
                f"ALTER TABLE {home} ADD COLUMN {_said(name, column)}",
            )
            continue
        yield from _of_type(on, alter, name, column.type, found.type)
        if (home, name) in generated:
            yield stops(on, "It is generated.", "Workers write it.", f"{alter} DROP EXPRESSION")
        elif column.not_null and column.default and not found.default and in_the_end.get((home, name)) == column:
            yield stops(
                on, "It has no default.", "Workers leave it to its default.", f"{alter} SET DEFAULT {column.default}"
            )
        if column.not_null and not found.not_null:
            yield stops(
                on,
                "It may be NULL.",
                "Workers cannot read a row without it.",
                f"Fill it where it is NULL; {alter} SET NOT NULL",
            )
        elif found.not_null and not column.not_null:
            yield stops(on, "It may not be NULL.", "Workers leave it empty in some rows.", f"{alter} DROP NOT NULL")
    for (home, name), column in sorted(there.items()):
        if (home, name) not in wanted and column.not_null and not column.default:
            yield stops(
                f"column {home}.{name}",
                "It is NOT NULL, has no default, and no model knows it.",
                "Workers leave it out of every new row, which would be refused.",
                f"ALTER TABLE {home} ALTER COLUMN {name} DROP NOT NULL, or SET DEFAULT",
            )


def things(connection: Connection, course: Course, kind: str) -> list[Thing]:
    """What is there of one kind on tables that are altered, in comparable form."""
    return [thing for thing in catalogue(connection, ()) if thing.kind == kind and thing.home in course.tables]


def _read(thing: Thing) -> _Column:
    type_, not_null, default = re.match(_COLUMN, thing.said).groups()  # type: ignore[union-attr]  # every text matches
    return _Column(type_, not_null is not None, default)


def _said(name: str, column: _Column) -> str:
    not_null, default = " NOT NULL" if column.not_null else "", f" DEFAULT {column.default}" if column.default else ""
    return f"{name} {column.type}{not_null}{default}"


def _of_type(on: str, alter: str, name: str, wanted: str, found: str) -> Iterator[MigrationFinding]:
    if found == wanted:
        return
    what = f"It is {found}, and not {wanted}."
    if _holds(found, wanted):
        yield bends(
            on,
            what,
            "It stays so. Workers write what fits into either; `runworker verify` tells the difference.",
            f"{alter} TYPE {wanted}, where all rows fit",
        )
        return
    using = f"{name}::{wanted}"
    if found.startswith("timestamp without"):
        using = f"{name} AT TIME ZONE 'Europe/Budapest', with the zone that the times were written in"
    yield stops(on, what, "Revisions and workers need that type.", f"{alter} TYPE {wanted} USING {using}")


def _holds(found: str, wanted: str) -> bool:
    """Whether one type takes every value of the other, and is read alike."""
    texts = _VARCHAR.match(found), _VARCHAR.match(wanted)
    if texts[0] and texts[1]:
        lengths = [int(each[1]) if each[1] else 10**9 for each in texts if each]
        return lengths[0] >= lengths[1]
    numbers = _NUMERIC.match(found), _NUMERIC.match(wanted)
    if numbers[0] and numbers[1]:
        if numbers[0][1] is None:
            return True
        if numbers[1][1] is None:
            return False
        (digits, scale), (least, least_scale) = ([int(part) for part in each.groups()] for each in numbers if each)
        return scale >= least_scale and digits - scale >= least - least_scale
    return False
