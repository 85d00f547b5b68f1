"""What depends on a column or type that a revision makes anew, and what fires or reads where rows move."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from runworker.migration_check.course import Course
from runworker.migration_check.findings import MigrationFinding, bends, stops
from runworker.migration_check.names import LOT_TYPES

# Everything that names the column or the type, each as the object that would have to go. Left out is what PostgreSQL
# carries along by itself (indexes and keys on the plain column, statistics, the type's own array) and what is told
# elsewhere (children).
_ON_LOT_TYPE: Final = text("""
    WITH field AS (
        SELECT attrelid, attnum, atttypid, typarray
        FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
        WHERE attrelid = to_regclass('public.lots') AND attname = 'lot_type'
    ), depends AS (
        SELECT DISTINCT classid, objid, objsubid
        FROM pg_depend, field
        WHERE deptype <> 'i' AND NOT (classid = 'pg_class'::regclass AND objid = attrelid AND objsubid IN (0, attnum))
          AND ((refclassid = 'pg_class'::regclass AND refobjid = attrelid AND refobjsubid = attnum)
               OR (refclassid = 'pg_type'::regclass AND refobjid IN (atttypid, typarray)))
    ), object AS (
        SELECT DISTINCT
               CASE WHEN rule.ev_class IS NULL OR rule.rulename <> '_RETURN' THEN classid
                    ELSE 'pg_class'::regclass END AS classid,
               CASE WHEN rule.ev_class IS NULL OR rule.rulename <> '_RETURN' THEN objid ELSE rule.ev_class END AS objid,
               CASE WHEN rule.ev_class IS NULL THEN objsubid ELSE 0 END AS objsubid
        FROM depends
        LEFT JOIN pg_rewrite AS rule ON classid = 'pg_rewrite'::regclass AND rule.oid = objid
        LEFT JOIN pg_index AS index ON classid = 'pg_class'::regclass AND index.indexrelid = objid
        LEFT JOIN pg_constraint AS con ON classid = 'pg_constraint'::regclass AND con.oid = objid
        LEFT JOIN pg_class AS home ON classid = 'pg_class'::regclass AND home.oid = objid
        WHERE (index.indexrelid IS NULL OR index.indpred IS NOT NULL OR index.indexprs IS NOT NULL)
          AND (con.oid IS NULL OR con.contype NOT IN ('p', 'u', 'n'))
          AND classid <> 'pg_statistic_ext'::regclass
          AND NOT (classid = 'pg_class'::regclass AND objsubid > 0 AND home.relkind IN ('v', 'm', 'i', 'I'))
          AND NOT EXISTS (SELECT FROM pg_inherits, field WHERE inhrelid = home.oid AND inhparent = attrelid)
    )
    SELECT known.type, known.identity, pg_describe_object(classid, objid, objsubid) AS described,
           classid = 'pg_class'::regclass AND objsubid > 0 AS is_column,
           con.conrelid::regclass::text AS constrained, con.conname::text AS constraint,
           fallback.adrelid::regclass::text AS defaulted, fallback_of.attname::text AS defaulted_column,
           fallback_of.attgenerated <> '' AS generated,
           other.attrelid::regclass::text AS typed, other.attname::text AS typed_column
    FROM object
    CROSS JOIN LATERAL pg_identify_object(classid, objid, objsubid) AS known
    LEFT JOIN pg_constraint AS con ON classid = 'pg_constraint'::regclass AND con.oid = objid
    LEFT JOIN pg_attrdef AS fallback ON classid = 'pg_attrdef'::regclass AND fallback.oid = objid
    LEFT JOIN pg_attribute AS fallback_of ON fallback_of.attrelid = fallback.adrelid AND fallback_of.attnum = adnum
    LEFT JOIN pg_attribute AS other
        ON classid = 'pg_class'::regclass AND objsubid > 0 AND other.attrelid = objid AND other.attnum = objsubid
    ORDER BY 1, 2
""")


def on_lot_type(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """What keeps lots.lot_type from getting the type that is made anew, and the old one from going."""
    if LOT_TYPES not in course.ahead or "lots" not in course.tables:
        return
    for row in connection.execute(_ON_LOT_TYPE):
        if row.constraint:
            remedy = f"ALTER TABLE {row.constrained} DROP CONSTRAINT {row.constraint}; add it again afterwards"
        elif row.generated:
            remedy = f"ALTER TABLE {row.defaulted} DROP COLUMN {row.defaulted_column}; add it again afterwards"
        elif row.defaulted:
            remedy = (
                f"ALTER TABLE {row.defaulted} ALTER COLUMN {row.defaulted_column} DROP DEFAULT; set it again afterwards"
            )
        elif row.typed:
            remedy = (
                f"ALTER TABLE {row.typed} ALTER COLUMN {row.typed_column} TYPE text, and back to lot_type afterwards"
            )
        else:
            remedy = f"DROP {row.type.upper()} {row.identity}; create it again afterwards"
        yield stops(
            row.described,
            "It depends on lots.lot_type or on its type.",
            f"The revision {LOT_TYPES} makes the type anew, which PostgreSQL refuses as long as it does.",
            remedy,
        )


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
        if row.deferred and LOT_TYPES in course.ahead and row.home in ("lots", "production_runs", "flow_versions"):
            yield stops(
                on,
                f"It is a deferred constraint trigger on {row.home}.",
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
