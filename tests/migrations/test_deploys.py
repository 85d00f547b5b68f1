"""Two deploys at once, locks that are not given, and everything that may be wrong with a URL."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import make_url
from tests.environment import without_settings
from tests.servers import conninfo

from runworker import migrations
from runworker.errors import ConfigurationError, RunworkerError, Unavailable

PROJECT = Path(__file__).parents[2]
NOBODY_LISTENS = "postgresql://owner:a%25b@127.0.0.1:1/nothing"


def _alembic(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "alembic", *arguments],
        cwd=PROJECT,
        env=without_settings() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_deploys_at_once(empty_database_url: str) -> None:
    deploys = [_alembic("upgrade", "head", RUNWORKER_DATABASE_URL=empty_database_url) for _ in range(2)]
    said = [deploy.communicate(timeout=120)[1] for deploy in deploys]

    assert [deploy.returncode for deploy in deploys] == [0, 0], said
    revisions = list((PROJECT / "alembic" / "versions").glob("*.py"))
    # One did everything, the other waited and found nothing to do.
    assert sorted(text.count("runworker: upgrade") for text in said) == [0, len(revisions)]
    assert migrations.current(empty_database_url) == migrations.newest()


def test_a_deploy_waits_for_another_only_so_long(empty_database_url: str) -> None:
    config = migrations.alembic_config(empty_database_url)
    config.attributes["wait_for_other_migration"] = 0.05
    with psycopg.connect(conninfo(empty_database_url)) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [int.from_bytes(b"runworkr")])

        with pytest.raises(Exception, match=r"Another migration of this .* running after 0\.05 s") as raised:
            command.upgrade(config, "head")

        assert isinstance(raised.value.__cause__, Unavailable)
        assert migrations.current(empty_database_url) is None, "reading the revision takes no lock"


def test_a_locked_table_stops_its_revision_alone(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations.upgrade(empty_database_url, "20260124_lot_step_index_status")
    config = migrations.alembic_config(empty_database_url)
    config.attributes |= {"lock_patience": 0.05, "lock_timeout": "50ms"}
    monkeypatch.setattr(migrations, "alembic_config", lambda _url: config)
    with psycopg.connect(conninfo(empty_database_url)) as other:
        other.execute("LOCK TABLE production_runs IN ACCESS SHARE MODE")

        with pytest.raises(Unavailable, match=r"Another session kept a lock on production_runs for 0\.05 s"):
            migrations.upgrade(empty_database_url)
        assert migrations.current(empty_database_url) == "20260124_flow_version_status"

        other.execute("LOCK TABLE lots IN ACCESS SHARE MODE")
        with pytest.raises(Unavailable, match="A table stayed locked by another session for 50ms"):
            migrations.downgrade(empty_database_url, "20260124_add_flow_definitions")
    assert migrations.current(empty_database_url) == "20260124_lot_step_index_status"


def test_password_may_hold_anything(empty_database_url: str) -> None:
    password = "50% of a/p@ss:word%s%(x)s"  # noqa: S105 - made for this test
    name = f"runworker_test_{os.getpid()}_odd"
    url = make_url(empty_database_url)
    with psycopg.connect(conninfo(empty_database_url), autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        try:
            administrator.execute(f'ALTER DATABASE "{url.database}" OWNER TO {name}')
            odd = url.set(username=name, password=password).render_as_string(hide_password=False)

            migrations.upgrade(odd)
            assert migrations.check(odd) == []
            deploy = _alembic("current", RUNWORKER_MIGRATION_URL=odd, RUNWORKER_DATABASE_URL=NOBODY_LISTENS)
            assert deploy.communicate(timeout=180)[0].strip() == f"{migrations.newest()} (head)"
        finally:
            administrator.execute(f'ALTER DATABASE "{url.database}" OWNER TO CURRENT_USER')
            administrator.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
            administrator.execute(f"DROP OWNED BY {name}")
            administrator.execute(f"DROP ROLE {name}")


CALLS: dict[str, Callable[[str], object]] = {
    "upgrade": migrations.upgrade,
    "downgrade": lambda url: migrations.downgrade(url, "base"),
    "current": migrations.current,
    "check": migrations.check,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("no url at all", ConfigurationError, "cannot be read"),
        ("mysql://owner:secret@localhost/plant", ConfigurationError, "not mysql://"),
        (NOBODY_LISTENS, Unavailable, "Cannot connect to postgresql"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(
    call: Callable[[str], object], url: str, error: type[RunworkerError], said: str
) -> None:
    with pytest.raises(error, match=said) as raised:
        call(url)

    assert "secret" not in str(raised.value)
    assert "a%25b" not in str(raised.value)


def test_unknown_revision(empty_database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="no_such_revision"):
        migrations.upgrade(empty_database_url, "no_such_revision")


def test_check_needs_the_newest_revision(empty_database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="not up to date"):
        migrations.check(empty_database_url)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["upgrade", "head"], {}, "set RUNWORKER_MIGRATION_URL"),
        (["upgrade", "head"], {"RUNWORKER_DATABASE_URL": ""}, "set RUNWORKER_MIGRATION_URL"),
        (["upgrade", "head"], {"RUNWORKER_DATABASE_URL": NOBODY_LISTENS}, "Cannot connect to"),
        (["upgrade", "head", "--sql"], {"RUNWORKER_DATABASE_URL": NOBODY_LISTENS}, "Cannot connect to"),
        (["downgrade", "head:base", "--sql"], {"RUNWORKER_DATABASE_URL": NOBODY_LISTENS}, "Cannot connect to"),
    ],
)
def test_command_line_ends_with_a_sentence(arguments: list[str], environment: dict[str, str], said: str) -> None:
    deploy = _alembic(*arguments, **environment)
    text = "".join(deploy.communicate(timeout=180))

    assert deploy.returncode != 0
    assert said in text
    assert "Traceback" not in text
