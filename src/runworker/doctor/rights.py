"""The database as a worker finds it, and who else may do what."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ARRAY, Text, bindparam, text

from runworker import revisions
from runworker.doctor.access import Access
from runworker.doctor.findings import Finding, Severity, check, error, listed, note, ok, warning
from runworker.models import Base
from runworker.readiness import blockers
from runworker.readiness.rights import ON_COLUMNS, ON_TABLES

OF_READINESS: Final = (
    "encoding", "guards-disabled", "guards-missing", "postgresql-read-only", "postgresql-standby", "rights-missing",
    "rows-hidden", "schema-older", "tables-hidden", "tables-missing",
)  # fmt: skip
"""Names of blockers that a worker may find in its database."""


@check("readiness", *OF_READINESS)
def readiness(access: Access) -> Iterator[Finding]:
    """All that a worker looks at before it takes messages."""
    with access.worker() as connection:
        found = blockers(connection)
    for blocker in found:
        yield error(blocker.name, blocker.problem, "Workers wait, and take nothing.", blocker.remedy)
    if not found:
        yield ok("readiness", "workers may write, and all tables, rights and guards are there")


@check("schema-newer")
def revision(access: Access) -> Iterator[Finding]:
    """The schema is the one of this release."""
    with access.observer() as connection:
        there = set(connection.execute(text("SELECT version_num FROM public.alembic_version")).scalars())
    if unknown := sorted(there - set(revisions.known())):
        yield note(
            "schema-newer",
            f"The database stands at {listed(unknown)}, which this release does not know.",
            "An older release works beside a newer one during a deploy, not for good.",
            "Upgrade runworker on this machine.",
        )
    else:
        yield ok("schema-newer", f"revision {', '.join(sorted(there))}")


_LOGIN: Final = text("""
    SELECT session_user AS name, current_user AS role, login.rolsuper AS superuser,
           array_remove(ARRAY[CASE WHEN login.rolbypassrls THEN 'BYPASSRLS' END,
                              CASE WHEN login.rolcreaterole THEN 'CREATEROLE' END,
                              CASE WHEN login.rolreplication THEN 'REPLICATION' END], NULL) AS attributes,
           ARRAY(SELECT relname::text FROM pg_class
                 WHERE relnamespace = to_regnamespace('public')::oid AND relname = ANY (:tables)
                   AND pg_has_role(login.oid, relowner, 'MEMBER') ORDER BY 1) AS owned
    FROM pg_roles AS login WHERE login.rolname = session_user
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


@check("database-login")
def login(access: Access) -> Iterator[Finding]:
    """The worker's login owns nothing and takes on the worker's role."""
    wanted = access.settings.database_role
    with access.worker() as connection:
        row = connection.execute(_LOGIN, {"tables": list(Base.metadata.tables)}).one()
    why = "A fault in a worker, or its stolen password, could do away with guards and audit trail."
    remedy = "Give workers a login of their own: CREATE ROLE NAME LOGIN; GRANT runworker_worker TO NAME."
    if row.superuser:
        yield warning("database-login", f"Workers log in as {row.name}, a superuser.", why, remedy)
    elif row.owned:
        yield warning("database-login", f"Workers log in as {row.name}, who owns {listed(row.owned)}.", why, remedy)
    elif row.attributes:
        yield warning("database-login", f"Workers log in as {row.name}, with {listed(row.attributes)}.", why, remedy)
    if wanted and row.role != wanted:
        yield warning(
            "database-login",
            f"Workers log in as {row.name}, who cannot take on the role {wanted}.",
            "They work with the login's own rights, whatever these are.",
            f"GRANT {wanted} TO {row.name}",
        )
    elif not (row.superuser or row.owned or row.attributes):
        yield ok("database-login", f"workers log in as {row.name} and work as {row.role}")


_ON_TABLES: Final = text("""
    SELECT home.relname AS name, granted.privilege_type AS right,
           CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END AS who
    FROM pg_class AS home, aclexplode(home.relacl) AS granted
    WHERE home.relnamespace = to_regnamespace('public')::oid AND home.relname = ANY (:tables)
      AND granted.grantee <> home.relowner
    ORDER BY 1, 2
""").bindparams(bindparam("tables", type_=ARRAY(Text)))
_TO_PUBLIC: Final = text("""
    SELECT 'EXECUTE ON FUNCTION ' || proc.oid::regprocedure AS right
    FROM pg_proc AS proc, aclexplode(coalesce(proc.proacl, acldefault('f', proc.proowner))) AS granted
    WHERE proc.pronamespace = to_regnamespace('public')::oid AND proc.prosecdef AND granted.grantee = 0
    UNION ALL
    SELECT 'CREATE ON SCHEMA public'
    FROM pg_namespace AS schema, aclexplode(schema.nspacl) AS granted
    WHERE schema.nspname = 'public' AND granted.grantee = 0 AND granted.privilege_type = 'CREATE'
""")


@check("rights-of-others")
def others(access: Access) -> Iterator[Finding]:
    """Nobody writes beside the worker and the owner, but an upstream that may queue commands."""
    ours = [*Base.metadata.tables, "alembic_version"]
    role = access.settings.database_role
    with access.observer() as connection:
        rows = connection.execute(_ON_TABLES, {"tables": ours}).all()
        public = list(connection.execute(_TO_PUBLIC).scalars())
    writers = [row for row in rows if row.right != "SELECT"]
    public += [f"{row.right} ON {row.name}" for row in writers if row.who == "PUBLIC"]
    found = []
    if public:
        found.append(
            error(
                "rights-of-others",
                f"Everybody who may connect has {listed(public)}.",
                "Any login can change the record, or have the ledger forget.",
                f"As the owner: REVOKE {public[0]} FROM PUBLIC, and so on.",
            )
        )
    strangers = [f"{row.right} ON {row.name} ({row.who})" for row in writers if row.who not in ("PUBLIC", role)]
    if strangers:
        found.append(
            warning(
                "rights-of-others",
                f"Other logins may write: {listed(strangers)}.",
                "Guards refuse what is illegal; what is legal is recorded under that login and no command.",
                "Revoke it, or grant columns: GRANT INSERT (idempotency_key, command, payload) ON commands.",
            )
        )
    too_many = [
        f"{row.right} ON {row.name}"
        for row in writers
        if row.who == role and row.right not in ON_TABLES.get(row.name, ())
    ]
    if too_many:
        found.append(_too_many(role or "", too_many))
    yield from found or [ok("rights-of-others", "only the owner and the worker's role write")]


def _too_many(role: str, rights: list[str]) -> Finding:
    table = rights[0].rpartition(" ")[2]
    columns = f"; GRANT UPDATE ({', '.join(ON_COLUMNS[table])}) ON {table} TO {role}" if table in ON_COLUMNS else ""
    return Finding(
        "rights-of-others",
        Severity.WARNING,
        f"{role} has rights that no worker needs: {listed(rights)}.",
        "A fault in a worker, or its stolen password, could change more than a worker has to.",
        f"As the owner: REVOKE {rights[0]} FROM {role}{columns}",
    )
