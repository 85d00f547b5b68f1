"""The environment that tests run in, without the settings in it: servers for the whole run may be named there."""

import os

import pytest

from runworker.config import PREFIX


def without_settings() -> dict[str, str]:
    """Every variable but runworker's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of runworker's is set."""
    for name in os.environ.keys() - without_settings().keys():
        monkeypatch.delenv(name)
