"""What nodes of a cluster answer: a worker waits and goes on by itself, and loses nothing.

A worker takes no node that shows what it is. A service that hides its cluster behind one address passes them on.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from redis import Redis
from tests.chaos.conftest import Site
from tests.chaos.test_servers_that_refuse import applied, made_a_replica, said
from tests.crew import PREFORK, eventually
from tests.proxy import Proxy

from runworker.embedded import start_valkey, temporary_directory
from runworker.embedded.process import free_port
from runworker.embedded.valkey import broker_url
from runworker.workers.processes import SOLO

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

PAUSE_SECONDS = 2
"""Between two attempts of a worker."""

NOTHING = (b"", b"")


class Rewording(Proxy):
    """Rewords answers of the server behind it."""

    words: tuple[bytes, bytes] = NOTHING

    async def _chunk(self, source: asyncio.StreamReader) -> bytes:
        return (await super()._chunk(source)).replace(*self.words)


@contextmanager
def without_slots(site: Site, proxy: Rewording) -> Iterator[None]:
    """CLUSTERDOWN from a real node that has no slots. The proxy rewords its greeting alone."""
    with temporary_directory() as folder:
        node = start_valkey(
            folder, durable=False, settings={"cluster-enabled": "yes", "cluster-port": str(free_port())}
        )
        try:
            with Redis.from_url(broker_url(folder, node.port)) as redis:
                redis.config_set("requirepass", urlsplit(site.crew.broker_url).password or "")
            proxy.words = (b"$7\r\ncluster\r\n", b"$10\r\nstandalone\r\n")
            proxy.lead_to(node.port)
            proxy.go_away()
            proxy.come_back()
            yield
            proxy.lead_to(site.valkey.port)
            proxy.go_away()
            proxy.words = NOTHING
            proxy.come_back()
        finally:
            node.stop()


@contextmanager
def while_slots_move(site: Site, proxy: Rewording) -> Iterator[None]:
    """TRYAGAIN, which the proxy makes of a replica's READONLY: no node comes to say it of keys in several slots."""
    proxy.words = (b"-READONLY You can't write against a read only replica", b"-TRYAGAIN Multiple keys request")
    with made_a_replica(site.crew.redis):
        yield
    proxy.words = NOTHING


Refusing = Callable[[Site, Rewording], AbstractContextManager[None]]


@pytest.mark.parametrize("options", [PREFORK, SOLO], ids=["prefork", "solo"])
@pytest.mark.parametrize(
    ("refusing", "words"),
    [(without_slots, "Hash slot not served"), (while_slots_move, "Multiple keys request")],
    ids=["CLUSTERDOWN", "TRYAGAIN"],
)
def test_a_worker_outlives_what_a_cluster_answers(
    site: Site, options: Sequence[str], refusing: Refusing, words: str
) -> None:
    crew = site.crew
    with Rewording(crew.broker_url) as proxy:
        worker = crew.hire(options, broker_url=SecretStr(proxy.url))
        for _ in range(100):
            crew.send("start_run")
        eventually(partial(crew.plant.count, "commands"), "the worker at work")
        before, began = len(crew.written()), time.monotonic()
        with refusing(site, proxy):
            eventually(partial(said, crew, before, f"{words}.*broker.refuses", times=3), "trying again", seconds=20)
            assert crew.written()[before:].count("broker.refuses") <= 2 + (time.monotonic() - began) / PAUSE_SECONDS
        for _ in range(50):
            crew.send("start_run")
        eventually(partial(applied, crew.plant, 150), "all decided", seconds=30)
        crew.wait_until_idle()
        assert crew.plant.count("dead_letters") == 0
        assert worker.exit_code is None
        crew.dismiss()
