"""Roles and rights of this release, given back where a restore has lost them.

A dump names roles and does not hold them. In a cluster without `runworker_worker`, each statement of it that names the
role fails as a whole, and with the GRANT goes the REVOKE that stood beside it: `prune_commands` is open to everybody.

What there should be stands in `data/schema.json`, which the migrations have made. Nothing else is granted, and only
what everybody may execute is taken away; what is too much otherwise may be somebody's wish, and is told.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from runworker.migrations import ADVISORY_LOCK, connected
from runworker.verification.catalogue import ROLES, SCHEMA, Thing, catalogue
from runworker.verification.schema import expected

_TO_EVERYBODY: Final = " to PUBLIC"


def repair(url: str) -> None:
    """Bring roles and rights to what this release's migrations make, and tell on stderr what was not so.

    url: SQLAlchemy's, of the tables' owner. A database at another revision is left alone. What this login may not do
    is told as SQL for an administrator.
    """
    with connected(url) as connection, connection.begin():
        if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}):
            sys.stderr.write("runworker: another migration has begun, which will look after roles and rights\n")
            return
        if list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars()) != [expected().revision]:
            return
        made, not_made = _make_roles(connection)
        lacking, open_to_all, _ = _differences(connection)
        wanted = [*_statements("GRANT", lacking), *_statements("REVOKE", open_to_all)]
        for statement in wanted:
            _try(connection, statement)
        still_lacking, still_open, too_many = _differences(connection)
    left = [*_statements("GRANT", still_lacking), *_statements("REVOKE", still_open)]
    _tell(
        "gave back what this release has, and this database had not",
        [*made, *(each for each in wanted if each not in left)],
    )
    _tell("this login may not do the rest; have an administrator run, in this database", [*not_made, *left])
    _tell("more than this release gives, and left so; unless it is your wish", _statements("REVOKE", too_many))
    if made or not_made:
        sys.stderr.write("runworker: then GRANT each role to the logins that work with it\n")


def _make_roles(connection: Connection) -> tuple[list[str], list[str]]:
    """Create the roles that are missing. Returns the statements that worked, and those of roles still missing."""
    made = [statement for statement in _creating(connection) if _try(connection, statement)]
    return made, _creating(connection)


def _creating(connection: Connection) -> list[str]:
    there = {*connection.execute(text("SELECT rolname::text FROM pg_roles")).scalars(), "PUBLIC"}
    return [f"CREATE ROLE {role} NOLOGIN" for role in ROLES if role not in there]


def _try(connection: Connection, statement: str) -> bool:
    """Run a statement. False where it is refused: this login may not, or another database has just made the role."""
    try:
        with connection.begin_nested():
            connection.execute(text(statement))
    except DBAPIError:
        return False
    return True


def _differences(connection: Connection) -> tuple[list[Thing], list[Thing], list[Thing]]:
    """Rights that are missing, those of everybody on functions that are too much, and others that are too much."""
    now = catalogue(connection, expected().functions)
    homes = {thing.home for thing in now} | {SCHEMA}
    rights = {thing for thing in now if thing.kind == "right"}
    wanted = {thing for thing in expected().things if thing.kind == "right" and thing.home in homes}
    lacking = [thing for thing in wanted - rights if not thing.name.endswith(_TO_EVERYBODY)]
    added = rights - wanted
    open_to_all = {thing for thing in added if thing.name == f"EXECUTE{_TO_EVERYBODY}"}
    return sorted(lacking), sorted(open_to_all), sorted(added - open_to_all)


def _statements(verb: str, rights: Iterable[Thing]) -> list[str]:
    """One statement for each right, over all on which it is."""
    objects: dict[tuple[str, str, str], list[str]] = {}
    for thing in rights:
        right, _, who = thing.name.rpartition(" to ")
        kind = "SCHEMA" if thing.home == SCHEMA else "FUNCTION" if "(" in thing.home else "TABLE"
        name = "public" if kind == "SCHEMA" else f"public.{thing.home}"
        objects.setdefault((right, kind, who), []).append(name)
    way = "TO" if verb == "GRANT" else "FROM"
    return [f"{verb} {right} ON {kind} {', '.join(names)} {way} {who}" for (right, kind, who), names in objects.items()]


def _tell(what: str, statements: Sequence[str]) -> None:
    if statements:
        lines = "".join(f"    {statement};\n" for statement in statements)
        sys.stderr.write(f"runworker: {what}:\n{lines}")
