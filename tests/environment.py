"""The variables that tests run with, where servers for the whole run may be named."""

import os
from collections.abc import Mapping

import pytest

from runworker.config import PREFIX


def settings_in(variables: Mapping[str, str]) -> dict[str, str]:
    """Those variables that are runworker's."""
    return {name: value for name, value in variables.items() if name.startswith(PREFIX)}


def without_settings() -> dict[str, str]:
    """Every variable of this process but runworker's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of runworker's is set."""
    for name in settings_in(os.environ):
        monkeypatch.delenv(name)
