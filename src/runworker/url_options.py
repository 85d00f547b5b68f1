"""What stands behind the question mark of a server's URL: options that are known, with values that will be taken.

No message here repeats a value, but libpq's own ones do: of options that are known, and none of which is a secret.
"""

import difflib
import ipaddress
import os
import re
import ssl
from collections.abc import Collection, Mapping
from typing import Final

LIBPQ_OPTIONS: Final = frozenset(
    {
        "application_name", "channel_binding", "client_encoding", "connect_timeout", "fallback_application_name",
        "gssdelegation", "gssencmode", "gsslib", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle",
        "keepalives_interval", "krbsrvname", "load_balance_hosts", "max_protocol_version", "min_protocol_version",
        "oauth_client_id", "oauth_issuer", "oauth_scope", "options", "passfile", "replication", "require_auth",
        "requirepeer", "service", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert", "sslcertmode",
        "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslmode", "sslnegotiation", "sslrootcert", "sslsni",
        "target_session_attrs", "tcp_user_timeout",
    }
)  # fmt: skip
"""What may stand in a database's URL, besides host, port, user, password and dbname."""

REDIS_OPTIONS: Final = frozenset(
    {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
)  # fmt: skip
"""What may stand in a broker's URL, if it is one of TLS."""

_CHOICES: Final = {
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "load_balance_hosts": ("disable", "random"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "sslcertmode": ("disable", "allow", "require"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_cert_reqs": ("required", "optional", "none", "CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE"),
    "ssl_check_hostname": ("true", "false"),
}
_NUMBERS: Final = (
    "connect_timeout", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout",
)  # fmt: skip
"""Of these libpq reads the values only when it connects."""

_AUTHORITIES: Final = ("sslrootcert", "ssl_ca_certs")
_FILES: Final = ("passfile", "sslcert", "sslcrl", "sslcrldir", "sslkey")

_CONNECTED_NOWHERE: Final = "/no-such-folder-for-runworker"


def require_known(options: Mapping[str, str], known: Collection[str]) -> None:
    """Raise ValueError for an option that is not known, or a value that is none of its own."""
    for name, value in options.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            word = name if re.fullmatch(r"\w{1,40}", name) else "that"
            raise ValueError(
                f"there is no option {word}; "
                + (f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}")
            )
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}")
        if name in _NUMBERS and not re.fullmatch(r"\d{1,9}", value):
            raise ValueError(f"{name} is a whole number, such as 10")
        if name == "hostaddr" and not all(map(_is_address, value.split(","))):
            raise ValueError("hostaddr is an address such as 192.0.2.1, and host takes names")


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def require_files(options: Mapping[str, str]) -> None:
    """Raise ValueError for a file that is not there, or that OpenSSL cannot load."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, file in options.items():
        try:
            if name in _AUTHORITIES and file != "system":  # libpq's word for those of OpenSSL
                context.load_verify_locations(file)
            elif name == "ssl_certfile":
                # Without a password, or OpenSSL would ask the terminal for one.
                context.load_cert_chain(file, options.get("ssl_keyfile"), password="")
            elif name in _FILES and ":" not in file:  # a key of an engine, where one is
                os.close(os.open(file, os.O_RDONLY))
        except OSError as error:  # OpenSSL's own errors are among them
            raise ValueError(f"{name}: expected a file that this process can read: {error.strerror}") from None


def require_taken_by_libpq(options: Mapping[str, str]) -> None:
    """Raise ValueError, in libpq's words, where libpq would refuse the options before it reaches a server."""
    # Imported here, as most processes that read settings have no use for a driver.
    from psycopg import Error, conninfo, pq  # noqa: PLC0415

    # A socket's folder that is not there: nothing is connected to. Empty and given, what else the environment may say.
    asked = {**options, "host": _CONNECTED_NOWHERE, "hostaddr": "", "port": "", "password": "unused"}
    if asked.get("gssencmode") == "require":
        del asked["gssencmode"]  # right for a server, and wrong for a socket
    try:
        tried = pq.PGconn.connect_start(conninfo.make_conninfo(**asked).encode())
        said = tried.error_message.decode("utf-8", "replace").strip()
        tried.finish()
    except Error as error:
        said = str(error).strip()
    if _CONNECTED_NOWHERE not in said:
        raise ValueError(f"libpq refuses it: {said}; PostgreSQL's documentation of libpq says what each option takes")
