"""The Celery application class: settings, and one engine a process."""

import gc
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from billiard import current_process
from celery import Celery, bootsteps
from celery.signals import worker_process_init
from click import ClickException
from kombu.entity import Queue

from runworker.config import Settings
from runworker.engine import Engine
from runworker.errors import ConfigurationError, RunworkerError
from runworker.servers import resolved
from runworker.tasks import results
from runworker.tasks.intake import Intake, Servers
from runworker.tasks.quarantine import Quarantine
from runworker.transport import reliable, require_tested_kombu
from runworker.transport.deadlines import broker_deadlines, result_attempts, result_deadlines
from runworker.verdicts import Verdict


class NotStarted(ConfigurationError, ClickException):
    """What keeps a process of Celery's from starting. Its command line shows a sentence, and exit code 1."""


@contextmanager
def _told_as_a_sentence() -> Iterator[None]:
    try:
        yield
    except RunworkerError as error:
        raise NotStarted(str(error)) from error


class WorkerApp(Celery):
    """A Celery application that reads `RUNWORKER_` settings when it is first used, not when it is imported."""

    events_cls = "runworker.tasks.events:CeleryEvents"

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._engine: Engine | None = None
        self.quarantine: Quarantine | None = None  # of the consumer, in the worker's main process
        self.loader.override_backends = results.BACKENDS
        self.add_defaults(lambda: celery_settings(self.settings))
        # A forked pool process must not talk over its parent's connections.
        os.register_at_fork(after_in_child=self._forget_engine)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process; embedded servers fill in the URLs that are not given."""
        with _told_as_a_sentence():
            return resolved(Settings.load())

    @cached_property
    def servers(self) -> Servers:
        """The servers as this process, the worker's main one, sees them."""
        return Servers(self)

    @cached_property
    def intake(self) -> Intake:
        """Whether this process, the worker's main one, takes messages."""
        return Intake(self.servers.look)

    @property
    def engine(self) -> Engine:
        """This process's engine. Verdicts that are decided late are put where the sender's task result is."""
        if self._engine is None:
            self._engine = Engine(self.settings, self._tell_late)
            _collect_garbage_rarely()
        return self._engine

    def _tell_late(self, verdicts: Mapping[str, Verdict]) -> None:
        results.store_late(self, verdicts)

    def _forget_engine(self) -> None:
        self._engine = None


def _collect_garbage_rarely() -> None:
    """Keep Python's collector of cycles off what stays, and from looking at every batch many times.

    A batch makes thousands of tuples that end with it and are in no cycle. Looking for cycles among them took a sixth
    of the worker's own time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@worker_process_init.connect
def end_with_main_process(**_: Any) -> None:
    """End a pool's process whose main process was killed before this one had asked the kernel to die with it.

    It would wait for tasks for ever: its siblings hold the pipe open on which they come.
    """
    main_process = current_process()._parent_pid  # None in a solo worker, which is its own pool
    if main_process not in (None, os.getppid()):
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel would have done


class PoolFits(bootsteps.Step):
    """Ends the start of a worker with gevent, under which most commands stay undecided and the worker does not end.

    A batch begins where another one ends: in its green thread, which holds its place in the pool meanwhile. gevent has
    it wait for a place, and with all of them waiting none gets free; eventlet does the work in that same thread.
    """

    @_told_as_a_sentence()
    def __init__(self, worker: Any, **_options: Any) -> None:
        if worker.pool_cls.__module__ == "celery.concurrency.gevent":
            raise ConfigurationError(
                "runworker does not work with --pool gevent, under which most commands stay undecided; use prefork, "
                "threads, solo or eventlet"
            )


class ServersKnown(bootsteps.Step):
    """Ends the start of a worker that has not been told where to work, or been told twice.

    Without a broker Celery would look for RabbitMQ on localhost; with one it still lets variables of its own decide.
    """

    @_told_as_a_sentence()
    def __init__(self, worker: Any, **_options: Any) -> None:
        if worker.app.settings.broker_url is None:
            raise ConfigurationError(
                "RUNWORKER_BROKER_URL is not set and no embedded servers are running; set it, or start `runworker up`"
            )
        if worker.app.settings.reliable_transport:
            require_tested_kombu()
        ours, in_force = celery_settings(worker.app.settings), worker.app.conf
        told = {name: getattr(in_force, name) for name in ("broker_read_url", "broker_write_url", "result_backend")}
        if told != dict.fromkeys(told, ours["broker_url"]) | {"result_backend": ours["result_backend"]}:
            raise ConfigurationError(
                "Celery is told of other servers than RUNWORKER_BROKER_URL and RUNWORKER_RESULT_BACKEND_URL name: do "
                "without the options --broker and --result-backend and without the variables BROKER_URL, "
                "RESULT_BACKEND, CELERY_BROKER_URL, CELERY_BROKER_READ_URL, CELERY_BROKER_WRITE_URL and "
                "CELERY_RESULT_BACKEND"
            )
        _ = worker.app.engine  # says the same of PostgreSQL; connects only when there is work


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Celery's settings for these settings. Why each is as it is: docs/decisions/celery-settings.md."""
    broker = settings.broker_url.get_secret_value() if settings.broker_url else None
    backend = settings.result_backend_url.get_secret_value() if settings.result_backend_url else broker
    both = {"visibility_timeout": settings.visibility_timeout_seconds, "master_name": settings.sentinel_master}
    patience = settings.broker_timeout_seconds
    return {
        "broker_url": reliable(broker) if broker and settings.reliable_transport else broker,
        "result_backend": backend,
        "broker_transport_options": {
            **both,
            **broker_deadlines(patience),
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 5,  # seconds that a worker which dies while it looks keeps others from looking
        },
        "result_backend_transport_options": both | result_attempts(patience),
        **result_deadlines(patience),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "result_expires": settings.result_expires_seconds,
        "task_default_queue": settings.queue,
        "task_queues": [Queue(settings.queue)],
        "task_acks_late": True,
        "task_acks_on_timeout": False,
        "task_reject_on_worker_lost": True,
        "task_send_sent_event": True,
        "worker_send_task_events": True,
        "worker_prefetch_multiplier": max(4, 2 * settings.batch_size),
        "worker_soft_shutdown_timeout": 10.0,
        "worker_enable_soft_shutdown_on_idle": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_consumer": "runworker.tasks.consumer:Consumer",
        "worker_direct": True,
        "timezone": "UTC",
    }
