"""The transport on servers that are not as one would wish: full, gone for a moment, sparing with rights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import NoPermissionError
from sqlalchemy import make_url
from tests.broker import QUEUE, Open, consumed, sound
from tests.chaos.conftest import crash, start_careful_valkey
from tests.crew import Crew

from runworker.client import Client
from runworker.embedded import RunningServer, start_valkey, temporary_directory
from runworker.embedded.valkey import broker_url as url_of

pytestmark = pytest.mark.timeout(60)

RIGHTS = "+@read +@write +@scripting +@pubsub +@connection +@transaction +time -@dangerous +info"
"""What docs/operations.md lists."""


@pytest.fixture
def directory() -> Iterator[Path]:
    with temporary_directory() as directory:
        yield directory


@pytest.fixture
def server(directory: Path) -> Iterator[RunningServer]:
    server = start_careful_valkey(directory)
    yield server
    server.stop()


@pytest.fixture
def url(directory: Path, server: RunningServer) -> str:
    return url_of(directory, server.port)


def test_a_full_server_can_be_emptied(open_channel: Open, url: str) -> None:
    with Redis.from_url(url) as redis:
        redis.lpush(QUEUE, sound(), sound(), b"rubbish")
        channel = open_channel(url=url)
        redis.config_set("maxmemory", 1)
        first, second = consumed(channel, 2)
        first.requeue()
        second.ack()
        (first,) = consumed(channel, 1)
        first.ack()
        assert not redis.llen(QUEUE) + redis.hlen("unacked")


def test_a_user_needs_no_more_rights_than_are_documented(open_channel: Open, server: RunningServer, url: str) -> None:
    with Redis.from_url(url) as redis:
        redis.execute_command("ACL", "SETUSER", "worker", "on", ">pass", "~*", "&*", "-@all", *RIGHTS.split())
        redis.lpush(QUEUE, sound(), b"rubbish", sound())
        as_worker = make_url(url).set(username="worker", password="pass")  # noqa: S106
        channel = open_channel(url=as_worker.render_as_string(hide_password=False))
        first, second = consumed(channel, 2)
        first.requeue()
        second.ack()
        channel.qos.restore_visible(num=None, interval=1)
        assert consumed(channel, 1)
        with pytest.raises(Exception, match="permission"):
            channel.server.config_get("*")


def test_a_worker_and_a_sender_need_no_more_either(crew: Crew) -> None:
    """With all that a worker does besides: remote control, gossip, mingle, events, results, the look at the broker."""
    administrator, name = crew.redis, "plant-worker"
    administrator.execute_command("ACL", "SETUSER", name, "on", ">pass", "~*", "&*", "-@all", *RIGHTS.split())
    try:
        url = make_url(crew.broker_url).set(username=name, password="pass").render_as_string(hide_password=False)  # noqa: S106
        with Redis.from_url(url) as restricted:
            for forbidden in ("FLUSHALL", "FLUSHDB", "CLIENT KILL TYPE normal", "CONFIG GET maxmemory", "SHUTDOWN"):
                with pytest.raises(NoPermissionError):
                    restricted.execute_command(forbidden)
        worker = crew.hire(("--pool", "solo"), broker_url=SecretStr(url))
        with Client(url, issued_by=crew.plant.user("ADMIN")) as client:
            sent = client.start_run(flow_version_id=crew.plant.version())
            assert sent.wait().status == "APPLIED"
            assert client.verdicts(sent.idempotency_key)
        assert crew.upstream.control.ping(destination=[worker.name], timeout=20, limit=1)
        crew.push(b"no message")
        crew.letter(b"no message")
        crew.wait_until_idle()
        assert "NOPERM" not in crew.written()
        assert "no permissions" not in crew.written()
        crew.dismiss()
    finally:
        administrator.execute_command("ACL", "DELUSER", name)


def test_what_the_server_has_noted_outlasts_its_crash(
    open_channel: Open, directory: Path, server: RunningServer, url: str
) -> None:
    with Redis.from_url(url) as redis:
        redis.lpush(QUEUE, *(sound() for _ in range(3)))
        consumed(open_channel(url=url), 2, prefetch=2)
    crash(server)
    again = start_valkey(directory, durable=True, port=server.port)
    try:
        with Redis.from_url(url) as redis:
            assert (redis.llen(QUEUE), redis.hlen("unacked"), redis.zcard("unacked_index")) == (1, 2, 2)
        open_channel(url=url, visibility_timeout=-1).qos.restore_visible(num=None, interval=1)
        assert len(consumed(open_channel(url=url), 3)) == 3
    finally:
        again.stop()
