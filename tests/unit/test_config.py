"""Settings: where they come from, what they accept, and what they say of a wrong one."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runworker.config import Settings
from runworker.errors import ConfigurationError

DATABASE = "postgresql://worker:hidden@db.example/plant"


@pytest.fixture(autouse=True)
def nothing_set(no_settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder and no RUNWORKER_ variable, whatever the machine has."""
    monkeypatch.setenv("RUNWORKER_SECRETS_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_a_directory_of_secrets_that_is_not_there_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUNWORKER_SECRETS_DIR", str(tmp_path / "none"))
    assert problems() == [f"  RUNWORKER_SECRETS_DIR: {tmp_path}/none is no directory"]


def problems() -> list[str]:
    with pytest.raises(ConfigurationError) as refusal:
        Settings.load()
    return str(refusal.value).splitlines()[1:]


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.load()
    assert (settings.database_url, settings.broker_url) == (None, None)
    assert (settings.wait_seconds, settings.queue, settings.default_site_code) == (300, "celery", "MAIN")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load().wait_seconds = 5


def test_first_source_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for number, name in enumerate(
        ("wait_seconds", "pool_size", "lock_timeout_seconds", "statement_timeout_seconds"), 1
    ):
        (secrets / f"runworker_{name}").write_text("10\n")
        if number < 4:
            with (tmp_path / ".env").open("a") as file:
                file.write(f"RUNWORKER_{name.upper()}=20\n")
        if number < 3:
            monkeypatch.setenv(f"RUNWORKER_{name.upper()}", "30")
    monkeypatch.setenv("RUNWORKER_SECRETS_DIR", str(secrets))
    settings = Settings.load(wait_seconds=40)
    assert (
        settings.wait_seconds,
        settings.pool_size,
        settings.lock_timeout_seconds,
        settings.statement_timeout_seconds,
    ) == (40, 30, 20, 10)


def test_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "runworker_database_url").write_text(DATABASE + "\n")
    monkeypatch.setenv("RUNWORKER_SECRETS_DIR", str(tmp_path))
    url = Settings.load().database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql+psycopg://worker:hidden@db.example/plant"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql(scheme: str) -> None:
    url = Settings.load(database_url=f"{scheme}://worker@db.example/plant").database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql+psycopg://worker@db.example/plant"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_every_kind_of_broker(scheme: str) -> None:
    assert Settings.load(broker_url=f"{scheme}://broker.example/0").broker_url is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "mysql://db.example/plant"),
        ("database_url", "postgresql:plant"),
        ("database_url", "plant"),
        ("migration_url", "sqlite:///plant.db"),
        ("broker_url", "amqp://broker.example"),
        ("broker_url", "redis://"),
        ("result_backend_url", "db+postgresql://db.example"),
        ("queue", ""),
        ("queue", "q" * 101),
        ("database_role", 'worker"; DROP ROLE admin; --'),
        ("database_role", ""),
        ("database_role", "r" * 64),
        ("default_site_code", "main"),
        ("default_site_code", "MAINS"),
        ("wait_seconds", "0"),
        ("wait_seconds", "86401"),
        ("wait_seconds", "1.5"),
        ("wait_seconds", "soon"),
        ("retry_seconds", "-1"),
        ("retry_seconds", "301"),
        ("retry_seconds", "nan"),
        ("retry_seconds", "inf"),
        ("connect_timeout_seconds", "0"),
        ("statement_timeout_seconds", "601"),
        ("lock_timeout_seconds", "0"),
        ("pool_size", "0"),
        ("pool_size", "101"),
        ("visibility_timeout_seconds", "4"),
        ("result_expires_seconds", "59"),
        ("sweep_seconds", "0"),
        ("log_level", "LOUD"),
        ("log_format", "xml"),
    ],
)
def test_wrong_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    variable = f"RUNWORKER_{name.upper()}"
    monkeypatch.setenv(variable, value)
    (problem,) = problems()
    assert problem.strip().startswith(f"{variable}: ")


def test_all_problems_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWORKER_WAIT_SECONDS", "soon")
    monkeypatch.setenv("RUNWORKER_POOL_SIZE", "0")
    monkeypatch.setenv("RUNWORKER_DATABASE_URL", "mysql://db.example")
    monkeypatch.setenv("RUNWORKER_WAIT_SECOND", "5")
    assert [line.strip().split(":")[0] for line in problems()] == [
        "RUNWORKER_WAIT_SECOND",
        "RUNWORKER_DATABASE_URL",
        "RUNWORKER_WAIT_SECONDS",
        "RUNWORKER_POOL_SIZE",
    ]


def test_a_misspelt_name_is_told_with_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWORKER_DATABSE_URL", DATABASE)
    assert problems() == ["  RUNWORKER_DATABSE_URL: no such setting; did you mean RUNWORKER_DATABASE_URL?"]


def test_a_name_like_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWORKER_ZZZZZZZZZZZZZZZZZZZZZZZZ", "1")
    assert problems() == ["  RUNWORKER_ZZZZZZZZZZZZZZZZZZZZZZZZ: no such setting"]


def test_a_misspelt_name_in_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RUNWORKER_WAIT_SECOND=5\n")
    (problem,) = problems()
    assert "RUNWORKER_WAIT_SECOND:" in problem


def test_the_file_may_be_shared_with_other_programs(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=hidden\nRUNWORKER_WAIT_SECONDS=5\n")
    assert Settings.load().wait_seconds == 5


@pytest.mark.parametrize("source", ["environment", ".env", "secrets file"])
def test_secrets_are_in_no_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str) -> None:
    wrong = "mysql://worker:hidden@db.example/plant"
    match source:
        case "environment":
            monkeypatch.setenv("RUNWORKER_DATABASE_URL", wrong)
        case ".env":
            (tmp_path / ".env").write_text(f"RUNWORKER_DATABASE_URL={wrong}\n")
        case _:
            (tmp_path / "runworker_database_url").write_text(wrong)
            monkeypatch.setenv("RUNWORKER_SECRETS_DIR", str(tmp_path))
    (problem,) = problems()
    assert "hidden" not in problem
    assert "RUNWORKER_DATABASE_URL" in problem


def test_what_is_shown_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(database_url=DATABASE, broker_url="redis://:hidden@broker.example/0")
    shown = settings.shown()
    assert shown["database_url"] == "postgresql+psycopg://worker:***@db.example/plant"
    assert shown["broker_url"] == "redis://:***@broker.example/0"
    assert set(shown) == set(Settings.model_fields)
    assert "hidden" not in f"{settings!r} {settings} {shown}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is_for(name: str) -> None:
    field: Any = Settings.model_fields[name]
    assert field.description
