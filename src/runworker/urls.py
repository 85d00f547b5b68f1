"""URLs of servers: read once, brought to the spelling that the drivers take, or refused with one that they take.

No message here repeats a part of the URL that may be a password's.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from runworker.url_options import (
    LIBPQ_OPTIONS,
    REDIS_OPTIONS,
    require_files,
    require_known,
    require_taken_by_libpq,
)

DATABASE_EXAMPLE: Final = "postgresql://user:password@host/name"
BROKER_EXAMPLE: Final = "redis://user:password@host/0"

_POSTGRESQL: Final = ("postgresql", "postgres", "postgresql+psycopg")
_BROKERS: Final = {"redis": "redis", "rediss": "rediss", "sentinel": "sentinel", "valkey": "redis", "valkeys": "rediss"}

_SENTINELS: Final = "sentinel://one:26379/0;sentinel://two:26379/0"

_PARTS: Final = re.compile(r"(?P<scheme>[a-z0-9+]+)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?$")
_NEXT_URL: Final = re.compile(r";(?=[a-z]+://)")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::(?P<port>.*))?")
_SECRET: Final = re.compile(r"(?<=[?&])(\w*(?:password|secret|key))=[^&]*")

_LAST_PORT: Final = 65_535

_ESCAPE: Final = "escape it: @ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25"

Host = tuple[str, int | None]


class _Url(NamedTuple):
    scheme: str
    user: str | None
    password: str | None
    hosts: list[Host]
    path: str
    query: list[tuple[str, str]]


def masked(url: str) -> str:
    """`url` with its password replaced by stars, for logs and screens. Rather too much is hidden than too little."""
    return ";".join(_masked(each) for each in _NEXT_URL.split(url))


def _masked(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    credentials, at, after = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    hidden = f"{scheme}{mark}{user}{':***' if colon else ''}{at}{after}"
    return _SECRET.sub(r"\1=***", hidden)


def database_url(value: str) -> str:
    """`value` as SQLAlchemy takes it, with psycopg as its driver. Several hosts are taken in libpq's spelling, too.

    Raises ValueError, with what would be right, where no driver takes it.
    """
    url = _read(value, _POSTGRESQL, DATABASE_EXAMPLE)
    given = dict(url.query)
    user, password = url.user or given.pop("user", None), url.password or given.pop("password", None)
    hosts = _hosts_of_query(url, given) if {"host", "port"} & given.keys() else url.hosts
    path = url.path or (f"/{quote(given['dbname'])}" if given.get("dbname") else "")
    for name in ("host", "port", "user", "password", "dbname"):
        given.pop(name, None)
    require_known(given, LIBPQ_OPTIONS)
    require_files(given)
    require_taken_by_libpq(given)
    authority, located = _located(hosts)
    query = urlencode([*located, *given.items()], quote_via=quote, safe="/:,")
    return f"postgresql+psycopg://{_credentials(user, password)}{authority}{path}{'?' if query else ''}{query}"


def broker_url(value: str) -> str:
    """`value` as kombu and redis-py take it; several Sentinels, where `;` stands between. Raises as `database_url`."""
    several = _NEXT_URL.split(value)
    if len(several) > 1 and not all(each.startswith("sentinel://") for each in several):
        raise ValueError(f"several URLs are those of Sentinels, and of nothing else: {_SENTINELS}")
    return ";".join(_broker_url(each) for each in several)


def _broker_url(value: str) -> str:
    url = _read(value, tuple(_BROKERS), BROKER_EXAMPLE)
    if len(url.hosts) > 1 or ";" in url.hosts[0][0]:
        raise ValueError(f"several servers are several URLs: {_SENTINELS}")
    if not url.hosts[0][0]:
        raise ValueError(f"no host; expected a URL such as {BROKER_EXAMPLE}")
    if not re.fullmatch(r"/?\d{0,9}", url.path):
        raise ValueError(f"the database of Redis is a number; expected a URL such as {BROKER_EXAMPLE}")
    options = dict(url.query)
    require_known(options, REDIS_OPTIONS)
    scheme = _BROKERS[url.scheme]
    if options and scheme == "redis":
        raise ValueError(f"{', '.join(options)}: of TLS, which rediss:// has and redis:// has not")
    require_files(options)
    _, _, rest = value.partition("://")
    if scheme == "rediss" and "ssl_cert_reqs" not in options:  # Celery's results need it said
        rest += ("&" if options else "?") + "ssl_cert_reqs=required"
    return f"{scheme}://{rest}"


def _read(value: str, schemes: Sequence[str], example: str) -> _Url:
    scheme, mark, rest = value.partition("://")
    if not mark or scheme not in schemes:
        other = f", not {scheme}://" if mark and scheme.isalnum() else ""
        raise ValueError(f"expected a URL such as {example}{other}")
    found = _PARTS.match(value)
    userinfo, _, hosts = found["authority"].rpartition("@") if found else ("", "", "")
    # What follows the host holds no @ of its own: there the password was cut in two.
    if found is None or "@" in userinfo or "@" in rest.removeprefix(found["authority"]):
        raise ValueError(f"where a password has one of the characters @ : / ? # %, {_ESCAPE}")
    user, colon, password = userinfo.partition(":")
    return _Url(
        scheme,
        unquote(user) or None,
        unquote(password) if colon else None,
        [_host(each) for each in hosts.split(",")],
        found["path"] or "",
        parse_qsl(found["query"] or "", keep_blank_values=True),
    )


def _host(text: str) -> Host:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError(f"a host is a name or an address; IPv6 stands in brackets; in a password, {_ESCAPE}")
    port = _port(found["port"]) if found["port"] else None
    return unquote(found["host"].strip("[]")), port


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 1 <= int(text) <= _LAST_PORT:
        raise ValueError(f"a port is a number from 1 to {_LAST_PORT}")
    return int(text)


def _hosts_of_query(url: _Url, given: dict[str, str]) -> list[Host]:
    """As `?host=one:5432&host=two:5432`, as `?host=one,two&port=5432,5433`, or as `?host=/var/run/postgresql`."""
    named = [each for name, value in url.query if name == "host" for each in value.split(",")]
    if "port" not in given:
        return [(each, None) if each.startswith("/") else _host(each) for each in named]
    ports = [_port(each) if each else None for each in given["port"].split(",")]
    hosts = named or [host for host, _ in url.hosts]
    if len(ports) not in (1, len(hosts)):
        raise ValueError("as many ports as hosts: ?host=one:5432&host=two:5432")
    return list(zip(hosts, ports * (len(hosts) // len(ports)), strict=True))


def _located(hosts: Sequence[Host]) -> tuple[str, list[tuple[str, str]]]:
    """What says where, before the path and behind it. A Unix socket's folder, and several hosts, stand behind it."""
    if len(hosts) == 1 and not hosts[0][0].startswith("/"):
        host, port = hosts[0]
        return (f"[{host}]" if ":" in host else host) + (f":{port}" if port else ""), []
    if any(":" in host or host.startswith("/") for host, _ in hosts):
        ports = [("port", ",".join(str(port or "") for _, port in hosts))] if any(port for _, port in hosts) else []
        return "", [("host", ",".join(host for host, _ in hosts)), *ports]
    return "", [("host", f"{host}:{port}" if port else host) for host, port in hosts]


def _credentials(user: str | None, password: str | None) -> str:
    if user is None and password is None:
        return ""
    return quote(user or "", safe="") + (f":{quote(password, safe='')}" if password is not None else "") + "@"
