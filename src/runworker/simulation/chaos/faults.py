"""All faults of servers, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runworker.simulation.chaos.broker_faults import BROKER_FAULTS
from runworker.simulation.chaos.fault import Fault
from runworker.simulation.chaos.network_faults import NETWORK_FAULTS
from runworker.simulation.chaos.postgres_faults import POSTGRES_FAULTS

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {fault.name: fault for fault in (*BROKER_FAULTS, *POSTGRES_FAULTS, *NETWORK_FAULTS)}
)
