"""Faults of the network between workers and servers: cut, slow, or swallowing what is sent."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Final

from runworker.simulation.chaos.fault import Fault
from runworker.simulation.chaos.site import ChaosSite
from runworker.simulation.chaos.wire import Wire

DELAY_SECONDS: Final = (0.02, 0.5)

Wires = Callable[[ChaosSite], Sequence[Wire]]
Harm = Callable[[Wire, Random], None]


def cut(wire: Wire, _: Random) -> None:
    """Connections are reset, and new ones too."""
    wire.cut()


def slow(wire: Wire, random: Random) -> None:
    """Everything takes longer."""
    wire.delay(random.uniform(*DELAY_SECONDS))


def swallowed(wire: Wire, _: Random) -> None:
    """What is sent does not arrive, and no connection is closed."""
    wire.swallow()


def _to_postgres(site: ChaosSite) -> Sequence[Wire]:
    return [node.wire for node in site.cluster.nodes]


def _to_broker(site: ChaosSite) -> Sequence[Wire]:
    return [site.broker_wire]


def _done_to(wires: Wires, harm: Harm) -> Callable[[ChaosSite, Random], AbstractContextManager[None]]:
    @contextmanager
    def disturb(site: ChaosSite, random: Random) -> Iterator[None]:
        try:
            for wire in wires(site):
                harm(wire, random)
            yield
        finally:
            for wire in wires(site):
                wire.mend()

    return disturb


NETWORK_FAULTS: Final = tuple(
    Fault(f"{server}-{harm.__name__}", "network", _done_to(wires, harm))
    for server, wires in (("broker-wire", _to_broker), ("postgres-wire", _to_postgres))
    for harm in (cut, slow, swallowed)
)
