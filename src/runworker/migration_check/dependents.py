"""What of others fires or reads where rows move."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from runworker.migration_check.course import Course
from runworker.migration_check.findings import MigrationFinding, bends, stops
from runworker.migration_check.row_rules import ONE_PUBLISHED, STATES_OF_VERSIONS

_TRIGGERS: Final = text("""
    SELECT home.relname::text AS home, tgname::text AS name, tginitdeferred AS deferred,
           home.relname = 'flow_versions' AND tgtype & 2 = 2 AND tgtype & 1 = 1 AND tgtype & 16 = 16 AS before_update
    FROM pg_trigger JOIN pg_class AS home ON home.oid = tgrelid
    WHERE home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables)
      AND NOT tgisinternal AND tgenabled <> 'D'
    ORDER BY 1, 2
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


def triggers(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Triggers of others on tables whose rows move."""
    ours = {(thing.home, thing.name) for thing in course.wanted if thing.kind == "trigger"}
    ours.add(("flow_versions", "trg_flow_version_immutable"))
    for row in connection.execute(_TRIGGERS, {"tables": list(course.tables)}):
        if (row.home, row.name) in ours:
            continue
        on, disable = f"trigger {row.name}", f"ALTER TABLE {row.home} DISABLE TRIGGER {row.name}"
        if row.deferred and row.home == "flow_versions" and {STATES_OF_VERSIONS, ONE_PUBLISHED} & {*course.ahead}:
            yield stops(
                on,
                "It is a deferred constraint trigger on flow_versions.",
                "PostgreSQL alters no table while such a trigger still has to fire for rows that were moved.",
                f"{disable}; enable it afterwards",
            )
        elif row.before_update:
            yield stops(
                on,
                "It fires before each UPDATE of flow_versions.",
                "Whatever it writes into a PUBLISHED version is refused, and the move to DEPRECATED with it.",
                f"{disable}, for good, unless it changes no row",
            )
        else:
            yield bends(
                on,
                f"It fires on {row.home}.",
                "It fires for rows that the migration moves, and for every command; where it refuses, neither goes on.",
                f"See what it does; {disable}, unless it lets all of that through",
            )


_READERS: Final = text("""
    SELECT DISTINCT view.oid::regclass::text AS reader, home.relname::text AS home
    FROM pg_depend
    JOIN pg_rewrite AS rule ON classid = 'pg_rewrite'::regclass AND rule.oid = objid
    JOIN pg_class AS view ON view.oid = rule.ev_class
    JOIN pg_class AS home ON refclassid = 'pg_class'::regclass AND home.oid = refobjid AND view.oid <> home.oid
    JOIN pg_attribute AS field ON field.attrelid = home.oid AND field.attnum = refobjsubid AND attname = 'status'
    WHERE home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables)
    ORDER BY 1, 2
""").bindparams(bindparam("tables", type_=ARRAY(Text)))
_RENAMED: Final = {
    "flow_versions": "ARCHIVED becomes DEPRECATED",
    "production_runs": "ACTIVE becomes RUNNING, CANCELLED becomes ABORTED",
}


def readers(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Views that read states which get another name."""
    for row in connection.execute(_READERS, {"tables": list(course.new_states)}):
        yield bends(
            f"view {row.reader}",
            f"It reads {row.home}.status.",
            f"{_RENAMED[row.home]}: it finds no row by the old word.",
            f"See pg_get_viewdef('{row.reader}'::regclass), and put the new words into it.",
        )
