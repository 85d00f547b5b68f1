"""What the reliable transport stands on is looked at before it stands there."""

import tomllib
from pathlib import Path
from typing import Any

import kombu
import pytest

from runworker.errors import ConfigurationError
from runworker.transport.versions import TESTED_KOMBU, require_fitting_server, require_tested_kombu

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_kombu_that_is_installed_is_the_tested_one() -> None:
    require_tested_kombu()


@pytest.mark.parametrize("version", ["5.6.2", "5.70.0", "5.8.0", "6.0.0"])
def test_any_other_is_told_of(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(kombu, "__version__", version)
    with pytest.raises(ConfigurationError, match=rf"kombu {version} is installed.*kombu=={TESTED_KOMBU}\.\*"):
        require_tested_kombu()


def test_the_project_pins_the_tested_minor() -> None:
    major, minor = TESTED_KOMBU.split(".")
    pin = f"kombu[redis]>={TESTED_KOMBU},<{major}.{int(minor) + 1}"
    assert pin in tomllib.loads(PROJECT.read_text("utf-8"))["project"]["dependencies"]


def greeting(**parts: Any) -> dict[bytes, Any]:
    """What a server answers to HELLO 3."""
    usual = {"server": b"redis", "version": b"7.0.15", "proto": 3, "mode": b"standalone"}
    return {name.encode(): value for name, value in (usual | parts).items()}


@pytest.mark.parametrize(
    "parts", [{}, {"server": b"valkey", "version": b"8.0.1"}, {"version": b"10.0"}, {"mode": b"sentinel"}]
)
def test_redis_7_and_valkey_fit(parts: dict[str, Any]) -> None:
    require_fitting_server(greeting(**parts))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (greeting(mode=b"cluster"), "Redis Cluster"),
        (greeting(version=b"6.2.14"), "the broker is redis 6.2.14"),
        (greeting(proto=2), "RESP3"),
        (None, "RESP3"),
    ],
)
def test_other_servers_are_refused(given: dict[bytes, Any] | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        require_fitting_server(given)
