"""A process that has imported all that a worker needs and becomes one, by a fork, as often as it is asked.

Run as a program, in the environment of the workers. Each line it reads is a name; it answers with the pid of the worker
it has begun. Ends with its standard input, and its workers with it.
"""

import os
import signal
import sys

from runworker.app import app
from runworker.embedded.launch import die_with_parent

OPTIONS = ("--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat")


def work(name: str, parent: int) -> None:
    """Be a worker until it ends."""
    die_with_parent(parent, signal.SIGKILL)
    app.worker_main(["--quiet", "worker", "--hostname", f"{name}@fork-server", *OPTIONS])


def main() -> None:
    """Fork a worker for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's concern
    app.finalize()
    for line in sys.stdin:
        parent = os.getpid()
        if (child := os.fork()) == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            work(line.strip(), parent)
            os._exit(0)
        print(child, flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
