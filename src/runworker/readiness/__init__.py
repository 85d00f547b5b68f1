"""Whether the servers are as a worker needs them: what a worker looks at before it takes anything.

What is wrong is a Blocker. Who asks decides what to do about it: a worker waits, `runworker health` tells.
"""

from runworker.readiness.blocker import Blocker
from runworker.readiness.broker import AWAY, UNREACHABLE, look_at_broker, maxmemory_policy
from runworker.readiness.clock import clock_behind
from runworker.readiness.database import blockers, look_at

__all__ = [
    "AWAY",
    "UNREACHABLE",
    "Blocker",
    "blockers",
    "clock_behind",
    "look_at",
    "look_at_broker",
    "maxmemory_policy",
]
