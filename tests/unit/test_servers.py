"""Which servers a process talks to, as far as settings alone decide it."""

import pytest

from runworker.config import Settings
from runworker.embedded import ServerUrls
from runworker.errors import ConfigurationError
from runworker.servers import as_owner, filled, lacks_database, lacks_servers, owner_url, resolved

DATABASE, OWNER, BROKER = "postgresql+psycopg://w@h/x", "postgresql+psycopg://o@h/x", "redis://h/0"
URLS = ServerUrls("postgresql+psycopg://admin@e/x", "postgresql+psycopg://worker@e/x", "redis://e/0")


pytestmark = pytest.mark.usefixtures("no_settings")


def settings(**given: str) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type] # pydantic reads text


def urls(filled_in: Settings) -> tuple[str | None, ...]:
    found = (filled_in.database_url, filled_in.migration_url, filled_in.broker_url)
    return tuple(url.get_secret_value() if url else None for url in found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (URLS.database_url, URLS.admin_database_url, URLS.broker_url)),
        ({"broker_url": BROKER}, (URLS.database_url, URLS.admin_database_url, BROKER)),
        ({"database_url": DATABASE}, (DATABASE, None, URLS.broker_url)),
        ({"migration_url": OWNER}, (None, OWNER, URLS.broker_url)),
        ({"database_url": DATABASE, "migration_url": OWNER, "broker_url": BROKER}, (DATABASE, OWNER, BROKER)),
    ],
)
def test_only_what_is_open_is_filled_in(given: dict[str, str], expected: tuple[str | None, ...]) -> None:
    assert urls(filled(settings(**given), URLS)) == expected


def test_servers_that_are_named_are_never_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runworker.servers.find_running", None)
    named = settings(database_url=DATABASE, broker_url=BROKER)
    assert resolved(named) is named
    assert not lacks_servers(named)
    assert lacks_servers(settings(database_url=DATABASE))
    assert lacks_database(settings(broker_url=BROKER))


def test_the_owner_is_who_migrates_else_the_one_login() -> None:
    both = settings(database_url=DATABASE, migration_url=OWNER)
    assert owner_url(both) == OWNER
    assert urls(as_owner(both))[0] == OWNER
    assert as_owner(both).database_role is None, "the owner must not become the worker"
    assert owner_url(settings(database_url=DATABASE)) == DATABASE
    with pytest.raises(ConfigurationError, match="set RUNWORKER_MIGRATION_URL"):
        owner_url(settings(broker_url=BROKER))
