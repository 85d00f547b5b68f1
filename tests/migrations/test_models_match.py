"""The models are the one definition of the tables: migrations build exactly what they say."""

import psycopg
import pytest
from sqlalchemy import create_engine, pool
from tests.servers import conninfo

from runworker import migrations
from runworker.models import Base

# What Alembic's own check does not compare (CHECKs, exclusions, key names, storage) is in here as well. PostgreSQL 18
# lists NOT NULL as constraints, named after the table's history; the columns' lines say the same without the names.
# The order of an enum's values is a matter of history, too.
CATALOGUE = """
    SELECT 'column', attrelid::regclass::text, attname::text,
           concat_ws(' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
                     nullif(attidentity, ''), pg_get_expr(adbin, adrelid))
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' AND relnamespace = 'public'::regnamespace
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype NOT IN ('n', 't')
    UNION ALL
    SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'storage', relname::text, 'reloptions', coalesce(array_to_string(reloptions, ' '), '')
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'enum', typname::text, enumlabel::text, ''
    FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid
"""

# What the models do not say. A privilege that was granted and revoked leaves the owner's own, written out, as a trace.
GUARDS_AND_RIGHTS = """
    SELECT 'function', oid::regprocedure::text, pg_get_functiondef(oid),
           (SELECT array_agg(acl::text ORDER BY acl::text)
            FROM unnest(coalesce(proacl, acldefault('f', proowner))) AS acl)::text
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'table rights', oid::regclass::text, '', acl::text
    FROM pg_class, unnest(coalesce(relacl, acldefault('r', relowner))) AS acl
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'column rights', attrelid::regclass::text, attname::text, acl::text
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid, unnest(attacl) AS acl
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'schema rights', nspname::text, '', acl::text
    FROM pg_namespace, unnest(nspacl) AS acl WHERE nspname = 'public'
"""


def catalogue(url: str, query: str = CATALOGUE) -> set[tuple[str, ...]]:
    with psycopg.connect(conninfo(url)) as connection:
        return {line for line in connection.execute(query) if line[1] != "alembic_version"}


def test_migrations_build_what_the_models_say(database_url: str, empty_database_url: str) -> None:
    engine = create_engine(empty_database_url, poolclass=pool.NullPool)
    Base.metadata.create_all(engine)

    migrated, declared = catalogue(database_url), catalogue(empty_database_url)

    assert migrated - declared == set()
    assert declared - migrated == set()
    assert len(declared) > 200


def test_check_is_clean_at_head(database_url: str) -> None:
    assert migrations.check(database_url) == []


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER TABLE lots ADD COLUMN colour text",
        "ALTER TABLE production_runs DROP COLUMN status_reason CASCADE",
        "ALTER TABLE suppliers ALTER COLUMN code TYPE varchar(60)",
        "ALTER TABLE users ALTER COLUMN full_name SET NOT NULL",
        "ALTER TABLE commands ALTER COLUMN deliveries SET DEFAULT 1",
        "DROP INDEX uq_flow_versions_one_published",
        "ALTER TABLE production_runs DROP CONSTRAINT uq_production_runs_idempotency_key",
        "ALTER TABLE lots DROP CONSTRAINT fk_lots_supplier_id",
        "CREATE TABLE extra (id integer)",
    ],
)
def test_check_sees_drift(database_url: str, drift: str) -> None:
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute(drift)

    assert len(migrations.check(database_url)) == 1


def test_up_down_and_up_again_on_an_empty_database(empty_database_url: str) -> None:
    before = catalogue(empty_database_url)

    migrations.upgrade(empty_database_url)
    up = catalogue(empty_database_url)
    migrations.downgrade(empty_database_url, "base")
    down = catalogue(empty_database_url)
    migrations.upgrade(empty_database_url)

    assert down == before == set()
    assert catalogue(empty_database_url) == up
    with psycopg.connect(conninfo(empty_database_url)) as connection:
        functions = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        assert connection.execute(functions).fetchall() != []
        connection.rollback()
        migrations.downgrade(empty_database_url, "base")
        assert connection.execute(functions).fetchall() == []


def test_each_revision_can_be_undone(empty_database_url: str) -> None:
    """One step down brings back all that one step up found, but for a name that the plan itself changes."""

    def schema() -> set[tuple[str, ...]]:
        return {
            tuple(part.replace("flow_versions_status_check", "ck_flow_versions_status") for part in line)
            for line in catalogue(empty_database_url) | catalogue(empty_database_url, GUARDS_AND_RIGHTS)
        }

    seen = [schema()]
    while migrations.current(empty_database_url) != migrations.newest():
        migrations.upgrade(empty_database_url, "+1")
        seen.append(schema())
    assert {line[0] for line in seen[-1]} > {"function", "trigger", "table rights", "column rights", "schema rights"}
    while seen:
        assert schema() == seen.pop()
        if seen:
            migrations.downgrade(empty_database_url, "-1")
