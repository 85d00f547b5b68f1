"""A program that owns a site for chaos whose broker stands still, for a test to kill. Run by path.

Prints the pids of its servers with all their processes, and its directory, as JSON; then waits.
"""

import json
import signal
from pathlib import Path
from random import Random

from runworker.simulation.chaos.faults import FAULTS
from runworker.simulation.chaos.site import ChaosSite


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    random = Random(1)  # noqa: S311 - nothing is left to it
    with ChaosSite() as site, FAULTS["broker-paused"].disturb(site, random):
        servers = [node.server.pid for node in site.cluster.nodes if node.server] + [site.broker_server.pid]
        pids = servers + [child for pid in servers for child in children_of(pid)]
        told = {"pids": pids, "directory": str(site.cluster.folder)}
        print(json.dumps(told), flush=True)  # noqa: T201 - the test reads it
        signal.pause()


if __name__ == "__main__":
    main()
