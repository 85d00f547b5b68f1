"""Constraints that are there: whether they are those that revisions and workers rely on, and what others have added."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from runworker.migration_check.course import Course
from runworker.migration_check.findings import MigrationFinding, bends, stops
from runworker.migration_check.tables import things
from runworker.verification.catalogue import Thing

_STATUS_CHECKS: Final = {
    ("flow_versions", "flow_versions_status_check"): "20260124_flow_version_status",
    ("flow_versions", "ck_flow_versions_status"): "20260124_flow_version_status",
    ("production_runs", "production_runs_status_check"): "20260124_production_runs",
    ("production_runs", "ck_production_runs_status"): "20260124_production_runs",
}
"""CHECKs that a revision replaces, whatever they say."""

_CHECKED: Final = text("""
    SELECT pg_get_expr(conbin, conrelid) AS condition, cardinality(conkey) = 1 AS single
    FROM pg_constraint WHERE conrelid = to_regclass('public.' || :home) AND conname = :name
""")


def constraints(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Keys and foreign keys that are missing or say something else, and rules of others."""
    there = things(connection, course, "constraint")
    lasting = {thing.known_by for thing in course.in_the_end}
    wanted = [
        thing
        for thing in sorted(course.wanted)
        if thing.kind == "constraint" and thing.home in course.tables and thing.known_by in lasting
    ]
    others = [thing for thing in there if thing.known_by not in {each.known_by for each in wanted}]
    for thing in wanted:
        if not any(thing.known_by == each.known_by for each in there):
            yield _missing(thing, others)
    near = {_columns_of(thing) for thing in wanted if thing.said.startswith("FOREIGN KEY")}
    for thing in others:
        replaced_by = _STATUS_CHECKS.get((thing.home, thing.name))
        if replaced_by in course.ahead or _columns_of(thing) in near or thing in course.wanted:
            continue
        yield _of_others(connection, course, thing)


def _columns_of(thing: Thing) -> tuple[str, str]:
    """The table and, of a foreign key, the columns that refer."""
    return (thing.home, thing.said.partition(" REFERENCES ")[0])


def _in_sql(said: str) -> str:
    """A constraint with the brackets that its comparable form does without."""
    keyed = re.sub(r"^(PRIMARY KEY|UNIQUE|FOREIGN KEY) (\w+)", r"\1 (\2)", said)
    return re.sub(r"\bANY (ARRAY\[[^\]]*\])", r"ANY (\1)", keyed)


def _missing(thing: Thing, others: Iterable[Thing]) -> MigrationFinding:
    on, said = f"table {thing.home}", _in_sql(thing.said)
    add = f"ADD CONSTRAINT {thing.name} {said}"
    near = [each for each in others if each.home == thing.home and each.said == f"{thing.said} NOT VALID"]
    if near:
        return stops(
            f"constraint {near[0].name}",
            "It is NOT VALID.",
            "Older rows may break it.",
            f"ALTER TABLE {thing.home} VALIDATE CONSTRAINT {near[0].name}",
        )
    if thing.said.startswith("CHECK"):
        return bends(
            on,
            f"It has no {said}.",
            "It stays so; `runworker verify` tells it.",
            f"ALTER TABLE {thing.home} {add}",
        )
    drop = [f"DROP CONSTRAINT {each.name}, " for each in others if _columns_of(each) == _columns_of(thing)]
    return stops(
        on,
        f"It has no {said}.",
        "Revisions and workers rely on it, and know a refused command by its name.",
        f"ALTER TABLE {thing.home} {''.join(drop)}{add}",
    )


def _of_others(connection: Connection, course: Course, thing: Thing) -> MigrationFinding:
    on, drop = f"constraint {thing.name}", f"ALTER TABLE {thing.home} DROP CONSTRAINT {thing.name}"
    if thing.said.startswith("CHECK") and thing.said.endswith(" NOT VALID") and (many := _breaking(connection, thing)):
        return stops(
            on,
            f"It says on {thing.home}: {_in_sql(thing.said)}.",
            f"{many} rows break it, and can be written no more: revisions write them.",
            f"{drop}; add it again afterwards",
        )
    states = course.new_states.get(thing.home)
    if states and thing.said.startswith("CHECK") and re.search(r"\bstatus\b", thing.said):
        refused = _refused(connection, thing, states)
        if refused is None or refused:
            return stops(
                on,
                f"It says on {thing.home}: {_in_sql(thing.said)}.",
                "Its states get new names: "
                + (f"it refuses {', '.join(refused)}." if refused else "whether it lets them through cannot be told."),
                f"{drop}; add it again afterwards, in the new words",
            )
    return bends(
        on,
        f"It says on {thing.home}: {_in_sql(thing.said)}.",
        "It is no rule of runworker's: a command that breaks it is not decided, and comes again and again.",
        f"{drop}, unless every command keeps it",
    )


def _refused(connection: Connection, thing: Thing, states: Iterable[str]) -> list[str] | None:
    """New states that a CHECK does not let through; None where other columns have a say as well."""
    row = connection.execute(_CHECKED, {"home": thing.home, "name": thing.name}).one()
    if not row.single:
        return None
    asked = text(
        f"SELECT status FROM unnest(CAST(:states AS varchar[])) AS row (status) WHERE NOT ({_escaped(row.condition)})"  # noqa: S608 - from the catalogue
    ).bindparams(bindparam("states", type_=ARRAY(Text)))
    return list(connection.execute(asked, {"states": list(states)}).scalars())


def _breaking(connection: Connection, thing: Thing) -> int:
    """How many rows break a CHECK that was added without a look at them."""
    condition = connection.execute(_CHECKED, {"home": thing.home, "name": thing.name}).one().condition
    counted = text(f"SELECT count(*) FROM {thing.home} WHERE NOT ({_escaped(condition)})")  # noqa: S608 - from the catalogue
    return int(connection.execute(counted).scalar_one())


def _escaped(condition: str) -> str:
    return condition.replace(":", r"\:")
