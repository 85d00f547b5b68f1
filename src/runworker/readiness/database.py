"""Whether PostgreSQL takes a worker's work: writes, revision, tables, rights and guards.

A few statements on catalogues, which wait for nobody's lock. They look with the rights and the search_path of the
connection that they are given: the worker's own.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from sqlalchemy import ARRAY, Connection, Engine, Text, bindparam, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from runworker import revisions
from runworker.models import Base
from runworker.readiness.blocker import Blocker
from runworker.readiness.rights import ON_COLUMNS, ON_FUNCTIONS, ON_TABLES

_NAMED: Final = 5
"""Most things that a blocker names; of the others it tells how many they are."""

_SERVER: Final = text("""
    SELECT pg_is_in_recovery() AS standby,
           current_setting('transaction_read_only') = 'on' AS read_only,
           current_setting('session_replication_role') = 'replica' AS without_triggers,
           getdatabaseencoding() AS encoding,
           current_user AS login,
           coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'USAGE'), false) AS may_enter,
           version.oid IS NOT NULL AS migrated,
           coalesce(has_table_privilege(version.oid, 'SELECT'), false) AS may_read_revision
    FROM (VALUES (1)) AS one
    LEFT JOIN pg_class AS version
        ON version.relname = 'alembic_version' AND version.relnamespace = to_regnamespace('public')::oid
""")

_REVISION: Final = text("SELECT version_num FROM public.alembic_version")

_TABLES: Final = text("""
    SELECT wanted.name,
           home.oid IS NULL AS missing,
           to_regclass(wanted.name) IS DISTINCT FROM home.oid::regclass AS hidden,
           coalesce(row_security_active(home.oid), false) AND (
               EXISTS (
                   SELECT FROM pg_policy AS policy
                   WHERE policy.polrelid = home.oid AND NOT policy.polpermissive
               )
               OR NOT EXISTS (
                   SELECT FROM pg_policy AS policy
                   WHERE policy.polrelid = home.oid AND policy.polpermissive AND policy.polcmd = '*'
                     AND pg_get_expr(policy.polqual, policy.polrelid) = 'true'
                     AND coalesce(pg_get_expr(policy.polwithcheck, policy.polrelid), 'true') = 'true'
                     AND EXISTS (
                         SELECT FROM unnest(policy.polroles) AS role
                         WHERE role = 0 OR pg_has_role(role, 'USAGE')
                     )
               )
           ) AS filtered
    FROM unnest(:tables) AS wanted (name)
    LEFT JOIN pg_class AS home
        ON home.relname = wanted.name AND home.relkind IN ('r', 'p')
        AND home.relnamespace = to_regnamespace('public')::oid
""").bindparams(bindparam("tables", type_=ARRAY(Text)))

_COLUMNS: Final = text("""
    SELECT wanted.name, wanted.needed, attribute.attnum IS NULL AS missing, wanted.column_name
    FROM unnest(:tables, :columns, :rights) AS wanted (name, column_name, needed)
    JOIN pg_class AS home
        ON home.relname = wanted.name AND home.relkind IN ('r', 'p')
        AND home.relnamespace = to_regnamespace('public')::oid
    LEFT JOIN pg_attribute AS attribute
        ON attribute.attrelid = home.oid AND attribute.attname = wanted.column_name AND NOT attribute.attisdropped
    WHERE attribute.attnum IS NULL OR NOT CASE
        WHEN wanted.needed = 'DELETE' THEN has_table_privilege(home.oid, wanted.needed)
        ELSE has_column_privilege(home.oid, attribute.attnum, wanted.needed)
    END
""").bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("tables", "columns", "rights")))

_FUNCTIONS: Final = text("""
    SELECT wanted.name, to_regprocedure(wanted.name) IS NULL AS missing
    FROM unnest(:functions) AS wanted (name)
    WHERE to_regprocedure(wanted.name) IS NULL
       OR NOT has_function_privilege(to_regprocedure(wanted.name)::oid, 'EXECUTE')
""").bindparams(bindparam("functions", type_=ARRAY(Text)))

_TRIGGERS: Final = text("""
    SELECT home.relname AS name, trigger.tgname AS trigger, trigger.tgenabled IN ('O', 'A') AS enabled
    FROM pg_trigger AS trigger JOIN pg_class AS home ON home.oid = trigger.tgrelid
    WHERE home.relnamespace = to_regnamespace('public')::oid AND home.relname = ANY (:tables)
      AND (NOT trigger.tgisinternal OR trigger.tgenabled NOT IN ('O', 'A'))
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


def look_at(database: Engine) -> list[Blocker]:
    """What keeps a worker with this pool of connections from work; no longer being able to ask is a blocker, too."""
    try:
        return _look(database)
    except SQLAlchemyError as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        said = " ".join(str(reason).split())[:300]
        return [
            Blocker(
                "postgresql-away",
                f"PostgreSQL cannot be asked: {said}.",
                "Workers go on by themselves when it answers; see RUNWORKER_DATABASE_URL if it never did.",
            )
        ]


def _look(database: Engine) -> list[Blocker]:
    try:
        return _ask(database)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    return _ask(database)  # a connection that was cut while it lay idle says nothing of the server


def _ask(database: Engine) -> list[Blocker]:
    with database.connect() as connection:
        found = blockers(connection)
        if found:
            # Or it would ask this server for ever, where the URL leads to another one by now that is the primary.
            connection.invalidate()
        return found


def blockers(connection: Connection) -> list[Blocker]:
    """What keeps a worker with this connection's login, role and search_path from work; empty when nothing does.

    Raises SQLAlchemy's errors when PostgreSQL does not answer.
    """
    server = connection.execute(_SERVER).one()
    found = list(_of_server(server))
    if not server.may_enter:
        return [*found, _right(f"USAGE ON SCHEMA public TO {server.login}", "enter the schema public")]
    if not server.migrated:
        return [*found, _not_migrated("It has none of its tables")]
    if not server.may_read_revision:
        granted = _right(f"SELECT ON alembic_version TO {server.login}", "read the schema's revision")
        return [*found, granted._replace(remedy=f"Run `runworker migrate`. Where it has been run: {granted.remedy}")]
    revision = list(connection.execute(_REVISION).scalars())
    if not revision:
        return [*found, _not_migrated("It names no revision")]
    if revisions.known()[-1] not in revision and set(revision) <= set(revisions.known()):
        return [*found, _not_migrated(f"It stands at revision {', '.join(revision)}")]
    # A revision that this release does not know is newer: new workers and old ones run side by side in a deploy.
    is_newer = not set(revision) <= set(revisions.known())
    found += _of_tables(connection, server.login)
    if not any(blocker.name == "tables-missing" for blocker in found):  # a table's guards go with it
        found += _of_guards(connection, all_of_them=not is_newer)
    return found


def _of_server(server: Any) -> Iterator[Blocker]:
    if server.standby:
        yield Blocker(
            "postgresql-standby",
            "PostgreSQL is a standby and takes no writes.",
            "Promote it, or have RUNWORKER_DATABASE_URL lead to the primary (target_session_attrs=read-write).",
        )
    elif server.read_only:
        yield Blocker(
            "postgresql-read-only",
            "PostgreSQL takes no writes: transactions are read-only.",
            "Reset default_transaction_read_only for server, database and login.",
        )
    if server.without_triggers:
        yield Blocker(
            "guards-disabled",
            "session_replication_role is replica: no guard and no foreign key is looked at.",
            f"Reset it: ALTER ROLE {server.login} RESET session_replication_role, likewise for database and server.",
        )
    if server.encoding != "UTF8":
        yield Blocker(
            "encoding",
            f"The database's encoding is {server.encoding}, in which not every text can be kept.",
            "Create a database with ENCODING 'UTF8' and restore into it.",
        )


def _of_tables(connection: Connection, login: str) -> Iterator[Blocker]:
    tables = connection.execute(_TABLES, {"tables": list(ON_TABLES)}).all()
    lacking = connection.execute(_COLUMNS, _needed()).all()
    functions = connection.execute(_FUNCTIONS, {"functions": [f"public.{name}" for name in ON_FUNCTIONS]}).all()
    missing = [
        *(table.name for table in tables if table.missing),
        *{f"{column.name}.{column.column_name}": None for column in lacking if column.missing},
        *(function.name for function in functions if function.missing),
    ]
    if missing:
        yield Blocker(
            "tables-missing",
            f"The database lacks {_listed(missing)}.",
            "Restore it, or run `runworker migrate` on a database of its own.",
        )
    if hidden := [table.name for table in tables if table.hidden and not table.missing]:
        yield Blocker(
            "tables-hidden",
            f"Not found by search_path, or behind others of the same name: {_listed(hidden)}.",
            f"Have public found first: ALTER ROLE {login} SET search_path = public.",
        )
    rights = {f"{column.needed} ON {column.name}": None for column in lacking if not column.missing}
    rights |= {f"EXECUTE ON FUNCTION {function.name}": None for function in functions if not function.missing}
    if rights:
        first = next(iter(rights))
        yield Blocker(
            "rights-missing",
            f"{login} lacks rights: {_listed(rights)}.",
            f"Run `runworker migrate`; or, as the owner, GRANT {first} TO {login}, and so on (docs/database.md).",
        )
    if filtered := [table.name for table in tables if table.filtered]:
        yield Blocker(
            "rows-hidden",
            f"Row-level security may hide rows of {_listed(filtered)} from {login}.",
            f"As the owner: CREATE POLICY worker ON {filtered[0]} TO {login} USING (true); restrictive policies go.",
        )


def _of_guards(connection: Connection, *, all_of_them: bool) -> Iterator[Blocker]:
    """all_of_them: whether each trigger that this release knows has to be there; a newer one may do without some."""
    guarded = sorted({table for table, _ in revisions.triggers()})
    rows = connection.execute(_TRIGGERS, {"tables": guarded}).all()
    there = {(row.name, row.trigger): row.enabled for row in rows}
    if all_of_them and (missing := sorted(revisions.triggers() - there.keys())):
        yield Blocker(
            "guards-missing",
            f"Triggers that guard the tables are gone: {_listed(f'{name} on {table}' for table, name in missing)}.",
            "Restore them from a backup's schema; see docs/database.md.",
        )
    disabled = sorted({table for (table, _), enabled in there.items() if not enabled})
    if disabled:
        yield Blocker(
            "guards-disabled",
            f"Triggers are disabled on {_listed(disabled)}.",
            f"As the owner: ALTER TABLE {disabled[0]} ENABLE TRIGGER ALL.",
        )


@cache
def _needed() -> dict[str, list[str]]:
    """Each column of the worker's tables with each right that it needs there."""
    wanted = [
        (table, column.name, right)
        for table, rights in ON_TABLES.items()
        for column in Base.metadata.tables[table].columns
        for right in rights
    ]
    wanted += [(table, column, "UPDATE") for table, columns in ON_COLUMNS.items() for column in columns]
    tables, columns, rights = zip(*wanted, strict=True)
    return {"tables": list(tables), "columns": list(columns), "rights": list(rights)}


def _right(grant: str, purpose: str) -> Blocker:
    return Blocker(
        "rights-missing",
        f"The worker's login may not {purpose}.",
        f"Run `runworker migrate`; or, as the owner, GRANT {grant}.",
    )


def _not_migrated(state: str) -> Blocker:
    return Blocker(
        "schema-older",
        f"The database is not migrated. {state}; this release needs {revisions.known()[-1]}.",
        "Run `runworker migrate`.",
    )


def _listed(names: Iterable[str]) -> str:
    all_names = list(names)
    more = len(all_names) - _NAMED
    return ", ".join(all_names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
