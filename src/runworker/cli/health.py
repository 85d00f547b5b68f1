"""`runworker health`."""

import time
from typing import Annotated, Any

import typer
from celery import Celery
from celery.exceptions import CeleryError
from celery.utils.nodenames import default_nodename, worker_direct
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from runworker.cli.opening import find_servers
from runworker.cli.reporting import tell
from runworker.config import Settings
from runworker.errors import ConfigurationError
from runworker.tasks.worker_app import celery_settings


def health(
    worker: Annotated[
        str | None, typer.Option(metavar="NAME@HOST", help="The worker to ask; celery@ this host unless given.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for its answer.")] = 5.0,
) -> None:
    """Have one worker answer a message: it takes messages, and PostgreSQL and the broker answer it.

    A process that is alive and takes nothing is not healthy. Exit code 0 or 1.
    """
    name = worker or default_nodename(None)
    began = time.monotonic()
    with Celery("runworker.health", set_as_current=False) as celery:
        celery.conf.update(_patient(find_servers(), timeout))
        try:
            with celery.connection_for_write() as connection, connection.channel():
                pass  # a broker that is away is told of by itself, and not by the result store's many attempts
            # To the worker's own queue. Nobody reads an answer that comes too late, so then none is worked out.
            asked = celery.send_task(
                "runworker.verdicts", kwargs={"keys": []}, queue=worker_direct(name), expires=timeout, retry=False
            )
            asked.get(timeout=max(0.0, timeout - (time.monotonic() - began)))
            asked.forget()
        except (CeleryError, OperationalError, RedisError, OSError, RuntimeError) as error:
            # RuntimeError is Celery's word for a result backend that it gave up on.
            tell(
                f"{name} gave no answer within {timeout:g} s ({' '.join(str(error).split())}). It does not run under "
                "this name, takes no messages, or cannot reach PostgreSQL or the broker; its log says which."
            )
            raise typer.Exit(1) from error
    typer.echo(f"{name} answered after {time.monotonic() - began:.2f} s")


def _patient(settings: Settings, seconds: float) -> dict[str, Any]:
    """The workers' own settings, but for a limit to every wait for the broker."""
    if settings.broker_url is None:
        raise ConfigurationError(
            "No broker to ask through: set RUNWORKER_BROKER_URL, or start embedded servers with `runworker up`."
        )
    own = celery_settings(settings)
    limits = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    return own | {
        "broker_transport_options": {**own["broker_transport_options"], **limits},
        "result_backend_transport_options": {
            **own["result_backend_transport_options"],
            "retry_policy": {"max_retries": 0},
        },
        "redis_socket_connect_timeout": seconds,
        "redis_socket_timeout": seconds,
    }
