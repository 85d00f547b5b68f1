"""Faults of the network between workers and servers: cut, slow or silent."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Final

from runworker.simulation.chaos.fault import Fault
from runworker.simulation.chaos.proxy import Proxy
from runworker.simulation.chaos.site import ChaosSite

DELAY_SECONDS: Final = (0.02, 0.5)

Proxies = Callable[[ChaosSite], Sequence[Proxy]]
Harm = Callable[[Proxy, Random], None]


def cut(proxy: Proxy, _: Random) -> None:
    """Connections are reset, and new ones too."""
    proxy.go_away()


def slow(proxy: Proxy, random: Random) -> None:
    """Everything takes longer."""
    proxy.delay(random.uniform(*DELAY_SECONDS))


def silent(proxy: Proxy, _: Random) -> None:
    """Nothing arrives, and no connection is closed."""
    proxy.fall_silent()


def _before_postgres(site: ChaosSite) -> Sequence[Proxy]:
    return [node.proxy for node in site.cluster.nodes]


def _before_the_broker(site: ChaosSite) -> Sequence[Proxy]:
    return [site.broker_proxy]


def _done_to(proxies: Proxies, harm: Harm) -> Callable[[ChaosSite, Random], AbstractContextManager[None]]:
    @contextmanager
    def disturb(site: ChaosSite, random: Random) -> Iterator[None]:
        try:
            for proxy in proxies(site):
                harm(proxy, random)
            yield
        finally:
            for proxy in proxies(site):
                proxy.come_back()

    return disturb


NETWORK_FAULTS: Final = tuple(
    Fault(f"{server}-network-{harm.__name__}", "network", _done_to(proxies, harm))
    for server, proxies in (("broker", _before_the_broker), ("postgres", _before_postgres))
    for harm in (cut, slow, silent)
)
