"""One Celery worker, tied to whoever started it. Run as a module, by `processes`.

Arguments: pid of the process that owns this worker, the file descriptor on which to tell it, then Celery's options for
a worker. One byte goes over the descriptor when the worker takes messages; its closing, by the kernel if need be, says
that the worker has ended.
"""

import os
import signal
import sys
from typing import Any, Final

from celery.bin.base import CLIContext
from celery.bin.worker import worker
from celery.signals import worker_ready

from runworker.app import app
from runworker.embedded.launch import die_with_parent

READY: Final = b"r"


def main(arguments: list[str]) -> None:
    """Become the worker. Returns never; the exit code is Celery's."""
    owner, descriptor = (int(argument) for argument in arguments[:2])

    def tell(**_: Any) -> None:
        os.write(descriptor, READY)

    if sys.platform == "linux":
        # Killed and not asked to stop: its servers may be ending too, and what it had taken is delivered again.
        die_with_parent(owner, signal.SIGKILL)
    # A pool's processes must not keep the descriptor open when the worker itself has ended.
    os.register_at_fork(after_in_child=lambda: os.close(descriptor))
    worker_ready.connect(tell)
    sys.argv = ["celery", "worker", *arguments[2:]]
    # Not by way of `celery`, which imports all its commands first, and with them a prompt and Flower where it is
    # installed: a tenth of a worker's memory.
    told = CLIContext(app, no_color=bool(os.environ.get("NO_COLOR")), workdir=None, quiet=True)
    worker(arguments[2:], prog_name="celery worker", obj=told, auto_envvar_prefix="CELERY_WORKER")


if __name__ == "__main__":
    main(sys.argv[1:])
