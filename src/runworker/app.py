"""The Celery application: `celery -A runworker.app worker`."""

from typing import Any

from celery.signals import setup_logging

from runworker.logs import configure_logging
from runworker.tasks.commands import register
from runworker.tasks.upkeep import Upkeep
from runworker.tasks.worker_app import WorkerApp

app = WorkerApp("runworker")
register(app)
app.steps["worker"].add(Upkeep)


@setup_logging.connect
def _log_as_we_do(loglevel: int | None = None, **_options: Any) -> None:
    """Keep Celery's `--loglevel`, and leave the rest to our logging."""
    configure_logging(app.settings)
