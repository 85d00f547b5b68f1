"""Versions that the transport needs: of kombu, on whose insides it stands, and of the server."""

from collections.abc import Mapping
from typing import Any, Final

import kombu

from runworker.errors import ConfigurationError

TESTED_KOMBU: Final = "5.7"
"""The minor release that this was tested with. The same stands in pyproject.toml."""

_OLDEST_SERVER: Final = 7


def require_tested_kombu() -> None:
    """Raise ConfigurationError where kombu is of another minor release than the one this was tested with."""
    if not f"{kombu.__version__}.".startswith(f"{TESTED_KOMBU}."):
        raise ConfigurationError(
            f"kombu {kombu.__version__} is installed, and the reliable transport stands on the insides of kombu "
            f"{TESTED_KOMBU}: install kombu=={TESTED_KOMBU}.*, or set RUNWORKER_RELIABLE_TRANSPORT=false to do with "
            "kombu's own transport"
        )


def require_fitting_server(greeting: Mapping[Any, Any] | None) -> None:
    """Raise ConfigurationError where a server lacks what the transport needs. greeting: its answer to HELLO 3."""
    told = {_text(name): _text(value) for name, value in (greeting or {}).items()}
    if told.get("proto") != 3:  # noqa: PLR2004 - the protocol's number
        raise ConfigurationError("the broker was not asked for RESP3: do without `protocol` in RUNWORKER_BROKER_URL")
    server, version = told.get("server"), str(told.get("version"))
    if told.get("mode") == "cluster":
        raise ConfigurationError(
            "RUNWORKER_BROKER_URL names a node of a Redis Cluster. Neither Celery nor the reliable transport works on "
            "one: a queue and its unacked messages have to be on one node. Use a server of its own, or Sentinel"
        )
    if int(version.partition(".")[0]) < _OLDEST_SERVER:
        raise ConfigurationError(
            f"the broker is {server} {version}; the reliable transport needs Redis {_OLDEST_SERVER} or Valkey. Or set "
            "RUNWORKER_RELIABLE_TRANSPORT=false"
        )


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
