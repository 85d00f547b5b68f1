"""Celery as a worker that is started here would have it."""

import os
from collections.abc import Iterator
from typing import Final

from runworker.config import CELERY_SERVERS
from runworker.doctor.access import Access
from runworker.doctor.findings import Finding, check, error, listed, ok, warning
from runworker.errors import ConfigurationError
from runworker.tasks.worker_app import WorkerApp, celery_settings
from runworker.transport import require_tested_kombu

DECIDING: Final = (*CELERY_SERVERS, "BROKER_URL", "RESULT_BACKEND")
"""Variables by which Celery lets itself be told of other servers. The last two are options of its command line."""
LOADING: Final = ("CELERY_CONFIG_MODULE", "CELERY_LOADER", "CONFIG_MODULE", "LOADER")


@check("celery-environment")
def environment(_access: Access) -> Iterator[Finding]:
    """No variable of Celery's own stands against a setting."""
    deciding = [name for name in DECIDING if name in os.environ]
    loading = [name for name in LOADING if name in os.environ]
    if deciding:
        yield error(
            "celery-environment",
            f"Set here: {listed(deciding)}.",
            "They lead Celery to other servers than runworker's settings name, and a worker ends at its start.",
            f"unset {' '.join(deciding)}",
        )
    if loading:
        yield warning(
            "celery-environment",
            f"Set here: {listed(loading)}.",
            "Another application's settings are read.",
            f"unset {' '.join(loading)}",
        )
    if not deciding and not loading:
        yield ok("celery-environment", "no variable of Celery's own is set")


@check("celery-settings")
def settings(access: Access) -> Iterator[Finding]:
    """Celery's settings in force are ours."""
    ours = celery_settings(access.given)
    app = WorkerApp("runworker.doctor", set_as_current=False)
    app.settings = access.given
    wrong = sorted(name for name, value in ours.items() if getattr(app.conf, name) != value)
    if wrong:
        yield error(
            "celery-settings",
            f"Celery has other values than runworker set: {listed(wrong)}.",
            "Messages may be lost, or workers end at their start.",
            "docs/decisions/celery-settings.md has them; look for CELERY_ variables and for code that changes the app.",
        )
    else:
        yield ok("celery-settings", f"{len(ours)} settings as runworker set them")


@check("celery-version")
def version(access: Access) -> Iterator[Finding]:
    """The transport stands on a kombu that it was tested with."""
    try:
        require_tested_kombu()
    except ConfigurationError as failed:
        if access.settings.reliable_transport:
            yield error("celery-version", f"{failed}.", "Workers do not start.", "Install what it names.")
            return
    yield ok("celery-version", "kombu is of the tested release")
