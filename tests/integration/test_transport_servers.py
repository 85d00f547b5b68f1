"""The transport on servers that are not as one would wish: full, gone for a moment, sparing with rights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from tests.broker import QUEUE, Open, consumed, sound
from tests.chaos.conftest import crash, start_careful_valkey

from runworker.embedded import RunningServer, start_valkey, temporary_directory
from runworker.embedded.valkey import broker_url as url_of

pytestmark = pytest.mark.timeout(60)

RIGHTS = "+@read +@write +@scripting +@pubsub +@connection +@transaction +time"
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
        channel = open_channel(
            url=url.replace("//:", "//worker:").replace(url.split(":")[2].split("@", maxsplit=1)[0], "pass")
        )
        first, second = consumed(channel, 2)
        first.requeue()
        second.ack()
        channel.qos.restore_visible(num=None, interval=1)
        assert consumed(channel, 1)
        with pytest.raises(Exception, match="permission"):
            channel.server.config_get("*")


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
