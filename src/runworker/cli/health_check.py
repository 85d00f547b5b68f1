"""Asks one worker for an answer that needs PostgreSQL and the broker, as a sender would."""

import time
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.exceptions import CeleryError
from celery.utils.nodenames import default_nodename, worker_direct
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from runworker.config import Settings
from runworker.errors import ConfigurationError, RunworkerError
from runworker.tasks.worker_app import celery_settings


class NoAnswer(RunworkerError):
    """A worker did not answer in time; the text says what that may mean."""


class NotReady(RunworkerError):
    """A worker answers and takes no messages; the text says why."""


@dataclass(frozen=True)
class Answer:
    """A worker's answer. seconds: from the question, connecting included."""

    worker: str
    seconds: float


def ask(settings: Settings, worker: str | None, timeout: float) -> Answer:
    """Send a worker a message and wait for its answer.

    worker: its name, NAME@HOST; Celery's default name on this host unless given. timeout: seconds.
    Raises NotReady where it says what keeps it from taking messages, NoAnswer where it says nothing, and
    ConfigurationError where no broker is known.
    """
    name = worker or default_nodename(None)
    began = time.monotonic()
    with Celery("runworker.health", set_as_current=False) as celery:
        celery.conf.update(_patient(settings, timeout))
        try:
            # A broker that is away is told of by itself, and not by the result store's many attempts.
            with celery.connection_for_write() as connection, connection.channel():
                _require_ready(celery.control, connection, name, settings.queue, timeout / 2)
            # To the worker's own queue. Nobody reads an answer that comes too late, so then none is worked out.
            asked = celery.send_task(
                "runworker.verdicts", kwargs={"keys": []}, queue=worker_direct(name), expires=timeout, retry=False
            )
            asked.get(timeout=max(0.0, timeout - (time.monotonic() - began)))
            asked.forget()
        except (CeleryError, OperationalError, RedisError, OSError, RuntimeError) as error:
            # RuntimeError is Celery's word for a result backend that it gave up on.
            raise NoAnswer(
                f"{name} gave no answer within {timeout:g} s ({' '.join(str(error).split())}). It does not run under "
                "this name, takes no messages, or cannot reach PostgreSQL or the broker; its log says which."
            ) from error
    return Answer(name, time.monotonic() - began)


def _require_ready(control: Any, broker: Any, worker: str, queue: str, seconds: float) -> None:
    """Raise NotReady where the worker's main process says so. One that is too busy to say anything is asked further."""
    answers = control.broadcast(
        "readiness", destination=[worker], reply=True, timeout=seconds, limit=1, connection=broker
    )
    told = answers[0].get(worker, {}) if answers else {}
    if told.get("ready") is False:
        reasons = " ".join(blocker["reason"] for blocker in told["blockers"])
        raise NotReady(f"{worker} takes no messages: {reasons}")
    if "queues" in told and queue not in told["queues"]:
        raise NotReady(
            f"{worker} does not consume the queue {queue}, but {', '.join(told['queues']) or 'none'}. "
            f"`celery -A runworker.app control add_consumer {queue}` has it do so again; see RUNWORKER_QUEUE."
        )


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
