"""The schemes of the reliable transport, and what kombu makes of them."""

import ssl

import pytest
from kombu import Connection

from runworker.transport import reliable
from runworker.transport.transports import SentinelTransport, TlsTransport, Transport


@pytest.mark.parametrize(
    ("scheme", "transport"), [("redis", Transport), ("rediss", TlsTransport), ("sentinel", SentinelTransport)]
)
def test_each_scheme_has_its_transport(scheme: str, transport: type[Transport]) -> None:
    connection = Connection(reliable(f"{scheme}://user:secret@broker:7000/3"))
    assert type(connection.transport) is transport
    assert (connection.hostname, connection.port, connection.virtual_host) == ("broker", 7000, "3")
    assert (connection.userid, connection.password) == ("user", "secret")


def test_a_failover_stays_with_the_transport() -> None:
    connection = Connection(reliable("redis://one;redis://two"))
    connection.maybe_switch_next()
    assert connection.hostname == "two"
    assert type(connection.transport) is Transport


@pytest.mark.parametrize(
    ("query", "checked"),
    [("", ssl.CERT_REQUIRED), ("?ssl_cert_reqs=required", ssl.CERT_REQUIRED), ("?ssl_cert_reqs=none", ssl.CERT_NONE)],
)
def test_certificates_are_checked_unless_the_url_says_otherwise(query: str, checked: ssl.VerifyMode) -> None:
    connection = Connection(reliable(f"rediss://broker/0{query}"))
    assert connection.transport.client.ssl == {"ssl_cert_reqs": checked}


def test_a_place_without_options_for_tls_has_tls_all_the_same() -> None:
    connection = Connection(reliable("rediss://broker/0"), ssl=True)
    assert connection.transport.client.ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
