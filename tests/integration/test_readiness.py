"""What a worker finds wrong with its database before it takes anything. Each fault has a transaction of its own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text
from tests.plant import Plant
from tests.servers import WORKER_GROUP, Servers, fresh_database

from runworker import migrations, revisions
from runworker.models import Base
from runworker.readiness import Blocker, blockers, look_at
from runworker.readiness.rights import ON_COLUMNS, ON_FUNCTIONS, ON_TABLES

GRANTED = text("""
    SELECT home.relname, granted.privilege_type
    FROM pg_class AS home, aclexplode(home.relacl) AS granted
    WHERE home.relnamespace = 'public'::regnamespace AND granted.grantee = to_regrole('runworker_worker')::oid
""")
GRANTED_ON_COLUMNS = text("""
    SELECT home.relname, attribute.attname, granted.privilege_type
    FROM pg_class AS home JOIN pg_attribute AS attribute ON attribute.attrelid = home.oid,
         aclexplode(attribute.attacl) AS granted
    WHERE home.relnamespace = 'public'::regnamespace AND granted.grantee = to_regrole('runworker_worker')::oid
""")
GRANTED_ON_FUNCTIONS = text("""
    SELECT oid::regprocedure::text
    FROM pg_proc, aclexplode(proacl) AS granted
    WHERE pronamespace = 'public'::regnamespace AND granted.grantee = to_regrole('runworker_worker')::oid
""")
TRIGGERS = text("""
    SELECT home.relname, trigger.tgname
    FROM pg_trigger AS trigger JOIN pg_class AS home ON home.oid = trigger.tgrelid
    WHERE home.relnamespace = 'public'::regnamespace AND NOT trigger.tgisinternal
""")
FOR_PEOPLE = {"audit_archives", "flow_definitions", "phases", "qc_gates", "scenarios", "streams", "suppliers"}
"""Tables that the role may read and no worker does: people look with it, too."""


@pytest.fixture(scope="module")
def broken_plant(template_database: str, servers: Servers) -> Iterator[Plant]:
    """A plant whose database each test breaks and mends."""
    with fresh_database(servers, template=template_database) as url:
        plant = Plant(url.render_as_string(hide_password=False))
        yield plant
        plant.close()


def as_worker(owner: Connection, *faults: str) -> list[Blocker]:
    """What a worker finds after these statements of the owner."""
    for fault in faults:
        owner.execute(text(fault))
    owner.execute(text(f"SET LOCAL ROLE {WORKER_GROUP}"))
    return blockers(owner)


FAULTS = {
    "SET LOCAL transaction_read_only = on": ("postgresql-read-only", "read-only", "default_transaction_read_only"),
    "SET LOCAL session_replication_role = replica": ("guards-disabled", "no guard", "RESET session_replication_role"),
    "SET LOCAL search_path = pg_catalog": ("tables-hidden", "audit_events", "SET search_path = public"),
    "CREATE TEMPORARY TABLE lots (id uuid)": ("tables-hidden", ": lots.", "search_path"),
    "UPDATE alembic_version SET version_num = '20261129_1_ledger'": (
        "schema-older",
        "at revision 20261129_1_ledger",
        "`runworker migrate`",
    ),
    "DELETE FROM alembic_version": ("schema-older", "no revision", "`runworker migrate`"),
    "DROP TABLE alembic_version": ("schema-older", "none of its tables", "`runworker migrate`"),
    "ALTER TABLE lots RENAME TO lots_away": ("tables-missing", "lacks lots", "Restore"),
    "ALTER TABLE commands RENAME task_id TO task_away": ("tables-missing", "lacks commands.task_id", "Restore"),
    "DROP FUNCTION prune_commands": ("tables-missing", "prune_commands", "Restore"),
    "REVOKE UPDATE ON commands FROM runworker_worker": (
        "rights-missing",
        "lacks rights: UPDATE ON commands",
        "GRANT UPDATE ON commands TO runworker_worker",
    ),
    "REVOKE UPDATE (published_at) ON flow_versions FROM runworker_worker": (
        "rights-missing",
        "UPDATE ON flow_versions",
        "GRANT",
    ),
    "REVOKE EXECUTE ON FUNCTION prune_commands FROM runworker_worker": ("rights-missing", "EXECUTE", "GRANT EXECUTE"),
    "REVOKE SELECT ON alembic_version FROM runworker_worker": ("rights-missing", "revision", "GRANT SELECT"),
    "REVOKE USAGE ON SCHEMA public FROM runworker_worker, PUBLIC": ("rights-missing", "enter", "GRANT USAGE"),
    "ALTER TABLE commands ENABLE ROW LEVEL SECURITY": ("rows-hidden", "rows of commands", "CREATE POLICY"),
    "ALTER TABLE lots DISABLE TRIGGER guard_lots_truncate": ("guards-disabled", "on lots", "ENABLE TRIGGER ALL"),
    "ALTER TABLE lots DISABLE TRIGGER ALL": ("guards-disabled", "on lots", "ENABLE TRIGGER ALL"),
    "DROP TRIGGER guard_lots_truncate ON lots": ("guards-missing", "guard_lots_truncate on lots", "Restore"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_told_with_its_remedy(broken_plant: Plant, fault: str) -> None:
    name, problem, remedy = FAULTS[fault]
    with broken_plant.transaction() as owner:
        found = as_worker(owner, fault)
        owner.rollback()

    assert [blocker.name for blocker in found] == [name]
    assert problem in found[0].problem
    assert remedy in found[0].remedy


FINE = {
    "as migrated": [],
    "a newer release's revision": [
        "UPDATE alembic_version SET version_num = '29991231_unheard_of'",
        "DROP TRIGGER guard_lots_truncate ON lots",
        "ALTER TABLE lots ADD COLUMN unheard_of text",
    ],
    "a policy that hides nothing": [
        "ALTER TABLE lots ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY all_of_them ON lots TO runworker_worker USING (true)",
    ],
    "somebody's own table, with a trigger that is off": [
        "CREATE TABLE notes (id int)",
        "CREATE TRIGGER theirs BEFORE INSERT ON notes EXECUTE FUNCTION refuse_change()",
        "ALTER TABLE notes DISABLE TRIGGER theirs",
    ],
    "a trigger that fires in a replica as well": ["ALTER TABLE lots ENABLE ALWAYS TRIGGER guard_lots_truncate"],
}


@pytest.mark.parametrize("statements", FINE.values(), ids=FINE)
def test_nothing_is_wrong_with(broken_plant: Plant, statements: list[str]) -> None:
    with broken_plant.transaction() as owner:
        found = as_worker(owner, *statements)
        owner.rollback()

    assert found == []


def test_a_worker_needs_what_the_migrations_grant(broken_plant: Plant) -> None:
    with broken_plant.transaction() as owner:
        tables = {(table, right) for table, right in owner.execute(GRANTED)}
        columns = {(table, column, right) for table, column, right in owner.execute(GRANTED_ON_COLUMNS)}
        functions = set(owner.execute(GRANTED_ON_FUNCTIONS).scalars())

    needed = {(table, right) for table, rights in ON_TABLES.items() for right in rights}
    assert tables == needed | {(table, "SELECT") for table in FOR_PEOPLE | {"alembic_version"}}
    assert columns == {(table, column, "UPDATE") for table, names in ON_COLUMNS.items() for column in names}
    assert {function.replace(",", ", ") for function in functions} == set(ON_FUNCTIONS)
    assert ON_TABLES.keys() <= Base.metadata.tables.keys()


def test_the_triggers_of_the_files_are_those_of_the_database(broken_plant: Plant) -> None:
    with broken_plant.transaction() as owner:
        there = {(table, trigger) for table, trigger in owner.execute(TRIGGERS)}

    assert there == revisions.triggers()


def test_the_revisions_are_those_that_alembic_finds() -> None:
    assert revisions.known()[-1] == migrations.newest()
    assert len(revisions.known()) == len(list((revisions.folder() / "versions").glob("*.py")))


def test_a_server_that_does_not_answer_is_told_of_without_a_password(plant: Plant) -> None:
    away = "postgresql+psycopg://worker:secret@127.0.0.1:1/plant"
    [found] = look_at(plant.engine(database_url=away).database)

    assert found.name == "postgresql-away"
    assert "127.0.0.1" in found.problem
    assert "secret" not in str(found)
