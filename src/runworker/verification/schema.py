"""Is the schema as this release made it: tables, constraints, indexes, triggers, functions, rights and owners.

What it should be stands in `runworker/data/schema.json`: what each revision adds to what `catalogue` reads in a
database that is migrated from nothing, and what it takes away, written by `make schema`. A test holds the file against
the migrations.

Constraints and indexes are known by what they say and not by their names, which a database that was taken over may
have given itself. What others add to the tables that were there before runworker is theirs; to tables of runworker's
own, to its functions and to the rights of everybody, nothing is added.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from sqlalchemy import Connection, text

from runworker.verification.catalogue import ROLES, SCHEMA, TABLES, Thing, catalogue
from runworker.verification.discrepancies import Discrepancy, Question

LOOK: Final = "schema"

OWN: Final = (
    "audit_archives", "audit_events", "audit_seals", "code_counters", "command_claims", "commands", "dead_letters",
)  # fmt: skip
"""Tables to which nobody else adds anything."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The catalogue of one revision."""

    revision: str
    things: frozenset[Thing]

    @property
    def functions(self) -> list[str]:
        """Names, without arguments."""
        return sorted({thing.name.partition("(")[0] for thing in self.things if thing.kind == "function"})


@cache
def history() -> tuple[Expected, ...]:
    """What this release's migrations make, revision by revision, the oldest first."""
    kept = json.loads((resources.files("runworker") / "data" / "schema.json").read_text(encoding="utf-8"))
    found: list[Expected] = []
    for step in kept:
        before = found[-1].things if found else frozenset[Thing]()
        added, removed = (frozenset(Thing(*thing) for thing in step[part]) for part in ("added", "removed"))
        found.append(Expected(step["revision"], before - removed | added))
    return tuple(found)


def expected() -> Expected:
    """What this release's migrations make in the end."""
    return history()[-1]


def differences(connection: Connection) -> Iterator[Discrepancy]:
    """What is missing, what says something else, and what was added where nobody adds anything."""
    wanted = expected()
    there = catalogue(connection, wanted.functions)
    absent = _absent_roles(connection)
    now = {thing.known_by: thing for thing in there}
    then = {thing.known_by: thing for thing in wanted.things}
    by_name = {(thing.kind, thing.home, thing.name): thing for thing in there}
    for thing in sorted(wanted.things):
        if thing.kind == "right" and thing.name.rpartition(" ")[2] in absent:
            continue
        found = now.get(thing.known_by) or by_name.get((thing.kind, thing.home, thing.name))
        if found is None and thing.kind == "right" and thing.name.endswith(" to PUBLIC"):
            continue  # what an administrator takes from everybody, nobody needs
        if found is None:
            yield _discrepancy(thing, f"the {thing.kind} is missing", thing.said)
        elif found.said != thing.said:
            yield _discrepancy(thing, f"the {thing.kind} says: {found.said}", thing.said)
    replaced = {(thing.kind, thing.home, thing.name) for thing in wanted.things}
    for thing in sorted(there):
        if thing.known_by not in then and (thing.kind, thing.home, thing.name) not in replaced and _is_ours(thing):
            yield _discrepancy(thing, f"a {thing.kind} was added: {thing.said}", "none")


def _is_ours(thing: Thing) -> bool:
    if thing.kind in ("right", "function"):
        return True
    return thing.home in OWN and thing.kind != "index"


def _absent_roles(connection: Connection) -> frozenset[str]:
    there = connection.execute(text("SELECT rolname::text FROM pg_roles")).scalars()
    return frozenset(ROLES) - {"PUBLIC"} - set(there)


def _discrepancy(thing: Thing, problem: str, wanted: str) -> Discrepancy:
    where = {
        "function": f"\\sf {thing.name}",
        "right": "\\dn+ public" if thing.home == SCHEMA else f"\\dp {thing.home}",
        "type": f"\\dT+ {thing.home}",
    }.get(thing.kind, f"\\d+ {thing.home}")
    return Discrepancy(LOOK, thing.home, thing.name, problem, wanted, f"{where} in psql")


_OURS: Final = {"tables": list(TABLES)}
_HOME: Final = "home.relnamespace = 'public'::regnamespace AND home.relname = ANY (:tables)"

QUESTIONS: Final = (
    Question(
        "pg_inherits",
        f"""
        SELECT inhrelid::regclass::text AS row, format('a child of %s', home.relname) AS problem,
               'no table that inherits from ours' AS expected
        FROM pg_inherits JOIN pg_class AS home ON home.oid = inhparent WHERE {_HOME}
        """,
        "SELECT * FROM {row}",
        _OURS,
    ),
    Question(
        "pg_rewrite",
        f"""
        SELECT rulename::text AS row, format('a rule on %s', home.relname) AS problem, 'no rules' AS expected
        FROM pg_rewrite JOIN pg_class AS home ON home.oid = ev_class WHERE home.relkind = 'r' AND {_HOME}
        """,
        "\\d+ of that table in psql",
        _OURS,
    ),
    Question(
        "pg_trigger",
        f"""
        SELECT home.relname::text AS row, format('the trigger of constraint %s does not fire (%s)', conname, tgenabled)
               AS problem,
               'it fires' AS expected
        FROM pg_trigger JOIN pg_class AS home ON home.oid = tgrelid
             LEFT JOIN pg_constraint AS con ON con.oid = tgconstraint
        WHERE tgisinternal AND tgenabled NOT IN ('O', 'A') AND {_HOME}
        """,
        "ALTER TABLE {row} ENABLE TRIGGER ALL, after \\d+ {row} in psql",
        _OURS,
    ),
    Question(
        "pg_db_role_setting",
        """
        SELECT coalesce(role.rolname, 'every login')::text AS row, setting AS problem,
               'session_replication_role set for nobody: it puts triggers aside' AS expected
        FROM pg_db_role_setting LEFT JOIN pg_roles AS role ON role.oid = setrole, unnest(setconfig) AS setting
        WHERE setting LIKE 'session_replication_role=%'
          AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        """,
        "\\drds in psql",
    ),
    # Tables that were there before runworker may have another owner, of whom the owner of runworker's is a member.
    Question(
        "pg_class",
        f"""
        SELECT home.relname::text AS row, format('owned by %s', pg_get_userbyid(home.relowner)) AS problem,
               format('owned by %s, as audit_events is', pg_get_userbyid(ours.relowner)) AS expected
        FROM pg_class AS home, pg_class AS ours
        WHERE {_HOME} AND ours.oid = to_regclass('public.audit_events') AND home.relowner <> ours.relowner
          AND NOT EXISTS (SELECT FROM pg_auth_members WHERE roleid = home.relowner AND member = ours.relowner)
        """,
        "\\dt public.* in psql",
        _OURS,
    ),
    Question(
        "pg_proc",
        """
        SELECT proc.oid::regprocedure::text AS row, format('owned by %s', pg_get_userbyid(proowner)) AS problem,
               format('owned by %s, as audit_events is', pg_get_userbyid(ours.relowner)) AS expected
        FROM pg_proc AS proc, pg_class AS ours
        WHERE pronamespace = 'public'::regnamespace AND proname = ANY (:functions)
          AND ours.oid = to_regclass('public.audit_events') AND proowner <> ours.relowner
        """,
        "\\df+ {row} in psql",
    ),
)


def questions() -> Iterator[Question]:
    """What is asked beside the comparison."""
    for question in QUESTIONS:
        given: dict[str, Any] = {"functions": expected().functions} if ":functions" in question.sql else {}
        yield Question(question.table, question.sql, question.where, {**question.given, **given})


def as_json(made: Iterable[Expected]) -> str:
    """The file's contents, from what each revision was seen to make."""
    steps, before = [], frozenset[Thing]()
    for now in made:
        parts = ", ".join(
            f'"{part}": [{_lines(things)}]'
            for part, things in (("added", now.things - before), ("removed", before - now.things))
        )
        steps.append(f'{{"revision": "{now.revision}", {parts}}}')
        before = now.things
    return f"[{', '.join(steps)}]\n"


def _lines(things: Iterable[Thing]) -> str:
    lines = ",\n".join(f"  {json.dumps(list(thing))}" for thing in sorted(things))
    return f"\n{lines}\n" if lines else ""
