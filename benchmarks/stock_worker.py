"""A stock Celery worker on `stock_app`. Run as a module, with Celery's options for a worker.

kombu's own Redis transport, and Celery's prefetch of four messages a process.
"""

import os
import sys
import threading
from typing import Any

from celery.__main__ import main as celery
from celery.signals import worker_ready


def main() -> None:
    """Become the worker."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    worker_ready.connect(_tell, weak=False)
    sys.argv = ["celery", "--quiet", "-A", "benchmarks.stock_app", "worker", *sys.argv[1:]]
    celery()


def _tell(**_: Any) -> None:
    os.write(1, b"ready\n")


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
