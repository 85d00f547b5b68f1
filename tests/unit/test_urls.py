"""URLs of servers are taken as people write them, or refused with a spelling that works and without the password."""

from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from runworker.config import Settings
from runworker.errors import ConfigurationError
from runworker.migrations import parse_url
from runworker.url_options import LIBPQ_OPTIONS
from runworker.urls import broker_url, database_url, masked

OURS = "postgresql+psycopg://"
TAKEN = {
    "postgresql://u:p@one/plant": "u:p@one/plant",
    "postgres://u@one:5433/plant": "u@one:5433/plant",
    "postgresql+psycopg://u:p%40w@one/plant?sslmode=require": "u:p%40w@one/plant?sslmode=require",
    "postgresql://u:p@one:5432,two:5432/db?target_session_attrs=read-write": (
        "u:p@/db?host=one:5432&host=two:5432&target_session_attrs=read-write"
    ),
    "postgresql://u:p@/db?host=one:5432&host=two:5433": "u:p@/db?host=one:5432&host=two:5433",
    "postgresql://u:p@/db?host=one,two&port=5432,5433": "u:p@/db?host=one:5432&host=two:5433",
    "postgresql://u:p@/db?host=one,two&port=5433": "u:p@/db?host=one:5433&host=two:5433",
    "postgresql://one,two/db": "/db?host=one&host=two",
    "postgresql:///plant": "/plant",
    "postgresql:///plant?host=/var/run/postgresql": "/plant?host=/var/run/postgresql",
    "postgresql://u@%2Fvar%2Frun%2Fpostgresql/plant": "u@/plant?host=/var/run/postgresql",
    "postgresql:///plant?host=/run/pg&port=5433": "/plant?host=/run/pg&port=5433",
    "postgresql://[::1]:5433/plant": "[::1]:5433/plant",
    "postgresql://[::1]:5433,two/plant": "/plant?host=::1,two&port=5433,",
    "postgresql://one/plant?user=u&password=p%26w": "u:p%26w@one/plant",
    "postgresql://one?dbname=plant": "one/plant",
}
REFUSED = {
    "mysql://u:hidden@one/plant": "expected a URL such as postgresql://user:password@host/name",
    "u:hidden@one/plant": "expected a URL such as",
    "postgresql://u:hid@den@one/plant": "@ is %40",
    "postgresql://u:hid/den@one/plant": "/ is %2F",
    "postgresql://u:hid?den@one/plant": "? is %3F",
    "postgresql://u:hid#den@one/plant": "# is %23",
    "postgresql://u:hidden@one:99999/plant": "a port is a number from 1 to 65535",
    "postgresql://u:hidden@one:0/plant": "a port is a number from 1 to 65535",
    "postgresql://u:hidden@one:5432,two:hidden/plant": "a port is a number",
    "postgresql://u:hidden@one/plant?foo=bar": "there is no option foo; there are application_name",
    "postgresql://u:hidden@one/plant?target_session_attr=any": "did you mean target_session_attrs?",
    "postgresql://u:hidden@one/plant?target_session_attrs=master": "target_session_attrs is one of any, read-write",
    "postgresql://u:hidden@one,two,three/plant?port=1,2": "as many ports as hosts",
    **{
        f"postgresql://u:hidden@one/plant?{options}": said
        for options, said in {
            "connect_timeout=abc": "connect_timeout is a whole number",
            "keepalives_idle=1.5": "keepalives_idle is a whole number",
            "tcp_user_timeout=": "tcp_user_timeout is a whole number",
            "hostaddr=one": "hostaddr is an address such as",
            "gssencmode=maybe": "gssencmode is one of disable, prefer, require",
            "sslnegotiation=none": "sslnegotiation is one of postgres, direct",
            "require_auth=magic": "libpq refuses it: invalid require_auth",
            "ssl_min_protocol_version=TLSv9": "libpq refuses it: invalid",
            "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2": "invalid SSL protocol version",
            "sslrootcert=system&sslmode=require": 'use "verify-full"',
            "service=nowhere": 'definition of service "nowhere" not found',
            "sslrootcert=/nowhere.pem": "sslrootcert: expected a file that this process can read: No such",
            "sslkey=/nowhere.pem": "sslkey: expected a file",
            "passfile=/nowhere": "passfile: expected a file",
        }.items()
    },
}
BROKERS_TAKEN = {
    "redis://:p@one:6379/0": "redis://:p@one:6379/0",
    "redis://one": "redis://one",
    "valkey://u:p@one/3": "redis://u:p@one/3",
    "valkeys://one/0?ssl_cert_reqs=none": "rediss://one/0?ssl_cert_reqs=none",
    "rediss://one/0": "rediss://one/0?ssl_cert_reqs=required",
    "rediss://one?ssl_check_hostname=false": "rediss://one?ssl_check_hostname=false&ssl_cert_reqs=required",
    "redis://:p;w@one/0": "redis://:p;w@one/0",
    "sentinel://:p@one:26379/0;sentinel://:p@two:26379/0": "sentinel://:p@one:26379/0;sentinel://:p@two:26379/0",
}
BROKERS_REFUSED = {
    "amqp://u:hidden@one/0": "expected a URL such as redis://user:password@host/0",
    "redis://u:hidden@one/notadb": "the database of Redis is a number",
    "redis://u:hidden@one:99999/0": "a port is a number from 1 to 65535",
    "redis://u:hidden@one/0?protocol=2": "there is no option protocol; there are ssl_ca_certs",
    "redis://u:hidden@one/0?password=hidden": "there is no option password",
    "redis://u:hid@den@one/0": "@ is %40",
    "redis://u:hidden@one,two/0": "sentinel://one:26379/0;sentinel://two:26379/0",
    "redis:///0": "no host",
    "rediss://one/0?ssl_cert_reqs=maybe": "ssl_cert_reqs is one of required",
    "rediss://one/0?ssl_check_hostname=maybe": "ssl_check_hostname is one of true, false",
    "rediss://one/0?ssl_ca_certs=/nowhere.pem": "ssl_ca_certs: expected a file that this process can read: No such",
    "rediss://one/0?ssl_certfile=/nowhere.pem": "ssl_certfile: expected a file",
    "redis://one/0?ssl_cert_reqs=none": "ssl_cert_reqs: of TLS, which rediss:// has",
    "sentinel://:hidden@one/0;redis://:hidden@two/0": "several URLs are those of Sentinels",
    "redis://:hidden@one/0;redis://:hidden@two/0": "several URLs are those of Sentinels",
    "sentinel://:hidden@one;two:26379": "several servers are several URLs",
}


@pytest.mark.parametrize(("url", "read"), TAKEN.items())
def test_databases_that_are_taken(url: str, read: str) -> None:
    assert database_url(url) == OURS + read
    assert database_url(OURS + read) == OURS + read
    assert parse_url(url) == make_url(OURS + read)


@pytest.mark.parametrize("url", TAKEN)
def test_what_is_taken_the_drivers_take_as_well(url: str) -> None:
    engine = create_engine(database_url(url))
    _, arguments = engine.dialect.create_connect_args(engine.url)
    psycopg.conninfo.make_conninfo(**{name: given for name, given in arguments.items() if name != "context"})


@pytest.mark.parametrize("variable", ["database_url", "migration_url"])
@pytest.mark.parametrize(("url", "said"), REFUSED.items())
def test_databases_that_are_refused(variable: str, url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.load(**{variable: url})
    message = str(refused.value)
    assert said in message
    assert message.count("\n") == 1
    assert not any(part in message for part in ("hid", "den@"))
    with pytest.raises(ConfigurationError) as refused:
        parse_url(url)
    assert "hid" not in str(refused.value)


@pytest.mark.parametrize(("url", "read"), BROKERS_TAKEN.items())
def test_brokers_that_are_taken(url: str, read: str) -> None:
    assert broker_url(url) == read


@pytest.mark.parametrize("variable", ["broker_url", "result_backend_url"])
@pytest.mark.parametrize(("url", "said"), BROKERS_REFUSED.items())
def test_brokers_that_are_refused(variable: str, url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.load(**{variable: url})
    message = str(refused.value)
    assert said in message
    assert message.count("\n") == 1
    assert not any(part in message for part in ("hid", "den@"))


@pytest.mark.parametrize("name", ["sslrootcert", "ssl_ca_certs", "ssl_certfile"])
def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "notes.pem"
    file.write_text("hidden")
    read, url = (database_url, "postgresql://one/plant") if name == "sslrootcert" else (broker_url, "rediss://one/0")
    with pytest.raises(ValueError, match=f"{name}: expected a file that this process can read"):
        read(f"{url}?{name}={file}")


@pytest.mark.parametrize("options", ["gssencmode=require", "sslmode=verify-full&sslrootcert=system", "keepalives=0"])
def test_what_libpq_takes_is_not_refused(options: str) -> None:
    assert database_url(f"postgresql://one/plant?{options}") == f"{OURS}one/plant?{options}"


def test_libpq_is_asked_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of servers."""
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    assert database_url("postgresql://one/plant?sslmode=require")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://broker.example:6379/0", "redis://broker.example:6379/0"),
        ("redis://worker@broker.example", "redis://worker@broker.example"),
        ("redis://:p:w/d@broker.example", "redis://:***@broker.example"),
        ("redis://u:p%40w@broker.example", "redis://u:***@broker.example"),
        ("postgresql://u:p@ss@one/plant", "postgresql://u:***@one/plant"),
        ("postgresql://one/plant?password=p&sslmode=require", "postgresql://one/plant?password=***&sslmode=require"),
        ("sentinel://:p@one/0;sentinel://:p@two/0", "sentinel://:***@one/0;sentinel://:***@two/0"),
    ],
)
def test_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_options_are_those_of_libpq() -> None:
    """But for what says where and who, and for what is a secret or would be written to."""
    of_libpq = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    elsewhere = {"host", "port", "user", "password", "dbname"}
    secret = {"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key", "sslkeylogfile"}
    assert of_libpq - elsewhere - secret <= LIBPQ_OPTIONS
    assert not LIBPQ_OPTIONS & (elsewhere | secret)
