"""The Celery application: `celery -A runworker.app worker`."""

from typing import Any

from celery.signals import setup_logging

from runworker.logs import configure_logging
from runworker.tasks.commands import register
from runworker.tasks.intake import TakeWhileOpen, Watch
from runworker.tasks.outbox_thread import OutboxThread
from runworker.tasks.upkeep_thread import UpkeepThread
from runworker.tasks.worker_app import PoolFits, ServersKnown, WorkerApp

app = WorkerApp("runworker")
app.steps["worker"].update({PoolFits, ServersKnown, Watch, OutboxThread, UpkeepThread})
app.steps["consumer"].add(TakeWhileOpen)


@app.on_after_finalize.connect
def _register_tasks(**_options: Any) -> None:
    """Not before the application is used: a task reads its settings when it is registered."""
    register(app)


@setup_logging.connect
def _log_as_we_do(loglevel: int | None = None, **_options: Any) -> None:
    """Keep Celery's `--loglevel`, and leave the rest to our logging."""
    configure_logging(app.settings)
