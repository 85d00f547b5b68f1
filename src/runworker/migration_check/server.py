"""The server, the database and the login: whether a migration can begin at all."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from runworker.migration_check.course import Course
from runworker.migration_check.findings import MigrationFinding, bends, listed, stops

OLDEST: Final = 15

_SERVER: Final = text("""
    SELECT current_setting('server_version_num')::integer AS number, current_setting('server_version') AS version,
           getdatabaseencoding() AS encoding, pg_is_in_recovery() AS standby,
           current_setting('default_transaction_read_only') = 'on' AS read_only,
           current_setting('session_replication_role') = 'replica' AS without_triggers,
           current_user::text AS login, quote_ident(current_user) AS quoted, current_database()::text AS database,
           to_regnamespace('public') IS NOT NULL AS has_public,
           coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'CREATE'), false) AS may_create
""")


def unfit(connection: Connection) -> Iterator[MigrationFinding]:
    """What is wrong with the server or the login, whatever the database holds."""
    server = connection.execute(_SERVER).one()
    database = f"database {server.database}"
    if server.number // 10_000 < OLDEST:
        yield stops(
            "server",
            f"It is PostgreSQL {server.version}.",
            "Guards need what 15 brought.",
            "Upgrade it to 15 or newer.",
        )
    if server.encoding != "UTF8":
        yield stops(
            database,
            f"Its encoding is {server.encoding}, and not UTF8.",
            "What flows, lots and messages say in any language could not be kept in it.",
            f"CREATE DATABASE new TEMPLATE template0 ENCODING 'UTF8', with a locale for it;"
            f" pg_dump {server.database} | psql new. The dump is converted on its way, but for SQL_ASCII: give pg_dump"
            " the encoding that the texts are really in (--encoding).",
        )
    if server.standby:
        yield stops(database, "The server is a standby.", "It takes no writes.", "Migrate the primary.")
    elif server.read_only:
        yield stops(
            database,
            "default_transaction_read_only is on for this login.",
            "A migration writes.",
            f"ALTER DATABASE {server.database} RESET default_transaction_read_only; likewise for login and server.",
        )
    if server.without_triggers:
        yield stops(
            f"login {server.login}",
            "session_replication_role is replica for it.",
            "No guard and no foreign key would be looked at.",
            f"ALTER ROLE {server.quoted} RESET session_replication_role; likewise for database and server.",
        )
    if not server.has_public:
        yield stops("schema public", "It is not there.", "All tables are made in it.", "CREATE SCHEMA public")
    elif not server.may_create:
        yield stops(
            "schema public",
            f"{server.login} may not create anything in it.",
            "Revisions create tables, functions and types there.",
            f"GRANT CREATE ON SCHEMA public TO {server.quoted}",
        )


_STRANGERS: Final = text("""
    SELECT format('table %s', oid::regclass) AS name, pg_get_userbyid(relowner)::text AS owner,
           format('ALTER TABLE %s OWNER TO %I', oid::regclass, current_user) AS remedy
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname = ANY (:tables) AND NOT pg_has_role(relowner, 'USAGE')
    UNION ALL
    SELECT 'type lot_type', pg_get_userbyid(typowner)::text, format('ALTER TYPE lot_type OWNER TO %I', current_user)
    FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typname = 'lot_type' AND NOT pg_has_role(typowner, 'USAGE')
    UNION ALL
    SELECT format('function %s', oid::regprocedure), pg_get_userbyid(proowner)::text,
           format('ALTER FUNCTION %s OWNER TO %I', oid::regprocedure, current_user)
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proname = ANY (:functions) AND NOT pg_has_role(proowner, 'USAGE')
    ORDER BY 1
""").bindparams(bindparam("tables", type_=ARRAY(Text)), bindparam("functions", type_=ARRAY(Text)))


def owners(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Tables, types and functions that the migrating login may not alter."""
    functions = {thing.name.partition("(")[0] for thing in course.wanted if thing.kind == "function"}
    functions.add("prevent_published_flow_version_modification")
    given = {"tables": [*course.tables, "alembic_version"], "functions": sorted(functions)}
    for row in connection.execute(_STRANGERS, given):
        yield stops(
            row.name,
            f"It belongs to {row.owner}, whose rights this login does not have.",
            "Only its owner may alter it.",
            f"{row.remedy}; or GRANT {row.owner} to this login; or migrate as {row.owner}.",
        )


_ROLES: Final = text("""
    SELECT name FROM unnest(ARRAY['runworker_worker', 'runworker_sender']) AS name
    WHERE to_regrole(name) IS NULL
      AND NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
""")


def roles(connection: Connection, course: Course) -> Iterator[MigrationFinding]:
    """Group roles that are missing and that this login may not create."""
    making = {"20261129_9_roles", "20261130_1_enqueue"} & set(course.ahead)
    if making and (missing := list(connection.execute(_ROLES).scalars())):
        yield bends(
            f"role {listed(missing)}",
            "It is not there, and this login may not create roles.",
            "The migration goes on without it; workers cannot write until it is there with its rights.",
            "Have an administrator run the SQL that the migration writes, or give this login CREATEROLE before.",
        )


_EVENT_TRIGGERS: Final = text("SELECT evtname::text FROM pg_event_trigger WHERE evtenabled <> 'D' ORDER BY 1")


def event_triggers(connection: Connection) -> Iterator[MigrationFinding]:
    """What fires at each CREATE and ALTER, whoever runs it."""
    if names := list(connection.execute(_EVENT_TRIGGERS).scalars()):
        yield bends(
            f"event trigger {listed(names)}",
            "It fires while the migration creates and alters.",
            "Where it refuses, the revision that it meets is rolled back, and those before it stay.",
            f"See what it does (\\dy); ALTER EVENT TRIGGER {names[0]} DISABLE for as long as the migration runs.",
        )
