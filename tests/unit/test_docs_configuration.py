"""docs/configuration.md and .env.example say what the settings are."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.unit.documents import DOCS, ROOT, rows, section

from runworker.config import PREFIX, Settings
from runworker.tasks.worker_app import celery_settings

URLS = {
    "database_url": "`postgresql://` URL",
    "migration_url": "`postgresql://` URL",
    "broker_url": "`redis://`, `rediss://` or `sentinel://` URL",
    "result_backend_url": "`redis://`, `rediss://` or `sentinel://` URL",
    "data_dir": "path",
}
SCHEMA = Settings.model_json_schema()["properties"]


def allowed(name: str) -> str:
    """What a setting may be, in words, from its own constraints."""
    if name in URLS:
        return URLS[name]
    options = SCHEMA[name].get("anyOf", [SCHEMA[name]])
    (schema,) = [option for option in options if option["type"] != "null"]
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "pattern" in schema:
        return f"`{schema['pattern']}`"
    if schema["type"] == "boolean":
        return "`true`, `false`"
    if schema["type"] == "string":
        return f"{schema['minLength']} to {schema['maxLength']} characters"
    return f"{schema['minimum']} to {schema['maximum']}"


def shown(value: Any) -> str:
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


EXPECTED = [
    [f"`{PREFIX}{name.upper()}`", shown(field.default), allowed(name), str(field.description)]
    for name, field in Settings.model_fields.items()
]


def test_every_setting_is_documented_as_it_is() -> None:
    assert rows(section((DOCS / "configuration.md").read_text(), "## Settings")) == EXPECTED, "\n".join(
        f"| {' | '.join(row)} |" for row in EXPECTED
    )


def test_example_names_every_setting_and_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("# ")]
    given = dict(line.removeprefix("#").split("=", 1) for line in lines)
    assert [f"`{name}`" for name in given] == [row[0] for row in EXPECTED]
    assert all(value == "" for name, value in given.items() if name.endswith("_URL"))
    assert all(line.startswith("#") for line in lines), "an example that is copied must change nothing"

    # Uncommented, its values are the defaults.
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items() if value))
    monkeypatch.chdir(tmp_path)
    for name in given:
        monkeypatch.delenv(name, raising=False)
    assert Settings.load().model_fields_set == {
        name.removeprefix(PREFIX).lower() for name, value in given.items() if value
    }
    assert Settings.load() == Settings(_env_file=None)


def test_every_celery_setting_has_its_reason() -> None:
    url = SecretStr("redis://broker/0")
    given = celery_settings(Settings(_env_file=None).model_copy(update={"broker_url": url}))
    flat = {
        name: value
        for outer, found in given.items()
        for name, value in (
            {f"{outer}.{inner}": value for inner, value in found.items()} if isinstance(found, dict) else {outer: found}
        ).items()
    }
    listed = rows(section((DOCS / "decisions/celery-settings.md").read_text(), "## Decision"))

    assert sorted(row[0].strip("`") for row in listed) == sorted(flat)
    for name, value, why in listed:
        shown_value = value.strip("`")
        assert why
        assert shown_value.startswith(PREFIX) or shown_value == str(flat[name.strip("`")]), name
