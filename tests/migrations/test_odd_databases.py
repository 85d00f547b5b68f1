"""Databases and logins that are not as runworker needs them: migrated right, or refused before the first change."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url
from tests.migrations.parents import SCHEMA, parent_in, picture, run
from tests.servers import Servers

from runworker import migrations
from runworker.errors import ConfigurationError


def refused(url: str, owner: str | None = None) -> str:
    """What is said; the database has to be as it was. owner: who sees all of it, where that is another."""
    before = picture(owner or url)
    with pytest.raises(ConfigurationError, match="Nothing was changed") as raised:
        migrations.upgrade(url)
    assert picture(owner or url) == before
    return str(raised.value)


@pytest.mark.parametrize("encoding", ["LATIN2", "SQL_ASCII"])
@pytest.mark.parametrize("schema", ["", SCHEMA], ids=["empty", "in use"])
def test_other_encodings_are_refused(servers: Servers, encoding: str, schema: str) -> None:
    with parent_in(servers, f"ENCODING '{encoding}'") as url:
        run(url, schema or "SELECT 1")

        assert f"Its encoding is {encoding}, and not UTF8. What flows, lots and messages say" in refused(url)


def test_another_schema_is_refused(parent_url: str) -> None:
    run(
        parent_url,
        "CREATE SCHEMA plant; ALTER TYPE lot_type SET SCHEMA plant;"  # noqa: S608 - made for this test
        " DO $$ DECLARE name text; BEGIN"
        " FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP"
        " EXECUTE format('ALTER TABLE %I SET SCHEMA plant', name); END LOOP; END $$;"
        f'ALTER DATABASE "{make_url(parent_url).database}" SET search_path = plant',
    )

    assert "The plant's tables are in the schema plant, and none is in public." in refused(parent_url)


def test_no_schema_public_is_refused(empty_database_url: str) -> None:
    run(empty_database_url, "DROP SCHEMA public")

    with pytest.raises(ConfigurationError, match=r"schema public: It is not there\. .* Remedy: CREATE SCHEMA public"):
        migrations.upgrade(empty_database_url)


SETTINGS = [
    *(
        f"default_transaction_isolation = '{level}'"
        for level in ("read uncommitted", "read committed", "repeatable read", "serializable")
    ),
    "default_transaction_deferrable = on",
    *(f"DateStyle = '{style}'" for style in ("German", "SQL, DMY", "Postgres, YMD")),
    "IntervalStyle = 'sql_standard'",
    "TimeZone = 'Europe/Budapest'",
    "search_path = shop, public",
    "client_encoding = 'LATIN2'",
    "check_function_bodies = off",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_defaults_of_the_database_change_nothing(setting: str, parent_url: str) -> None:
    run(parent_url, f'CREATE SCHEMA shop; ALTER DATABASE "{make_url(parent_url).database}" SET {setting}')

    migrations.upgrade(parent_url)

    assert migrations.check(parent_url) == []
    moved = run(
        parent_url,
        "SELECT summary ->> 'legacy_ended_at',"
        " (SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace) FROM production_runs"
        " WHERE run_code = 'old active, yet ended'",
    )
    assert moved == [("2025-06-01T14:00:00+00:00", 0)]


def test_a_read_only_default_is_refused(parent_url: str) -> None:
    name = make_url(parent_url).database
    run(parent_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    assert "default_transaction_read_only is on for this login." in refused(parent_url)


@contextmanager
def login(servers: Servers, url: str, name: str) -> Iterator[str]:
    """URL of the same database for a login of its own, whose name is told."""
    role = f"runworker_test_{os.getpid()}_{name}"
    servers.administrator.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'odd'")
    try:
        yield make_url(url).set(username=role, password="odd").render_as_string(hide_password=False)  # noqa: S106 - made for this test
    finally:
        run(url, f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}")
        servers.administrator.execute(f"DROP ROLE {role}")


def _give_tables(url: str, role: str | None, tables: str = "true") -> None:
    run(
        url,
        "DO $$ DECLARE name text; BEGIN FOR name IN"  # noqa: S608 - made for these tests
        " SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        f" AND {tables} LOOP EXECUTE format('ALTER TABLE %I OWNER TO {role}', name); END LOOP; END $$;"
        f"ALTER TYPE lot_type OWNER TO {role}",
    )


def test_an_owner_who_may_not_create(servers: Servers, parent_url: str) -> None:
    with login(servers, parent_url, "owner") as url:
        owner = make_url(url).username
        _give_tables(parent_url, owner)

        said = refused(url, parent_url)

        assert f"schema public: {owner} may not create anything in it." in said
        run(parent_url, f"GRANT CREATE ON SCHEMA public TO {owner}")
        migrations.upgrade(url)
        assert migrations.check(url) == []


def test_a_login_that_is_no_owner(servers: Servers, parent_url: str) -> None:
    with login(servers, parent_url, "stranger") as url:
        run(parent_url, f"GRANT CREATE ON SCHEMA public TO {make_url(url).username}")

        said = refused(url, parent_url)

        assert said.count("whose rights this login does not have.") == 12
        assert f"ALTER TABLE lots OWNER TO {make_url(url).username}; or GRANT" in said


def test_two_owners(servers: Servers, parent_url: str) -> None:
    with login(servers, parent_url, "one") as url, login(servers, parent_url, "two") as other:
        one, two = make_url(url).username, make_url(other).username
        _give_tables(parent_url, one)
        _give_tables(parent_url, two, "tablename IN ('users', 'qc_decisions')")
        run(parent_url, f"ALTER TYPE lot_type OWNER TO {one}; GRANT CREATE ON SCHEMA public TO {one}")

        said = refused(url, parent_url)

        assert [line.split(":")[0] for line in said.splitlines()[1:]] == ["  1. table qc_decisions", "  2. table users"]
        servers.administrator.execute(f"GRANT {two} TO {one}")
        migrations.upgrade(url)
        assert migrations.check(url) == []
