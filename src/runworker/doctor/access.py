"""The doctor's own connections: short ones, each with deadlines, and none that writes a row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from redis import Redis
from sqlalchemy import Connection, NullPool, create_engine

from runworker.config import Settings
from runworker.engine.sql.connection import connect
from runworker.errors import ConfigurationError
from runworker.servers import as_owner
from runworker.tasks.worker_app import celery_settings

SECONDS = 5
"""Longest statement, wait for a lock, and wait for an answer of the broker's."""


class Access:
    """Ways to the servers that settings name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.model_copy(
            update={
                "statement_timeout_seconds": SECONDS,
                "lock_timeout_seconds": SECONDS,
                "connect_timeout_seconds": min(SECONDS, settings.connect_timeout_seconds),
                "pool_size": 1,
            }
        )
        self.given = settings

    @contextmanager
    def observer(self) -> Iterator[Connection]:
        """PostgreSQL as the owner where that is known, else as the worker, in a transaction that cannot write."""
        database = connect(as_owner(self.settings) if self.settings.migration_url else self.settings)
        try:
            with database.connect().execution_options(postgresql_readonly=True) as connection:
                yield connection
        finally:
            database.dispose()

    @contextmanager
    def newcomer(self) -> Iterator[Connection]:
        """PostgreSQL as the observer's login finds it that asks for nothing: with the defaults that others get."""
        settings = as_owner(self.settings)
        database = create_engine(
            settings.database_url.get_secret_value() if settings.database_url else "",
            poolclass=NullPool,
            connect_args={"connect_timeout": settings.connect_timeout_seconds},
        )
        with database.connect() as connection:
            yield connection

    @contextmanager
    def worker(self) -> Iterator[Connection]:
        """PostgreSQL exactly as a worker has it. Raises ConfigurationError where its login is not known here."""
        database = connect(self.settings)
        try:
            with database.connect() as connection:
                yield connection
                connection.rollback()
        finally:
            database.dispose()

    @contextmanager
    def broker(self, url: str | None = None) -> Iterator[Redis]:
        """A client of the broker, found as Celery finds it, behind Sentinel too. url: another server's."""
        with self.celery(url) as celery, celery.connection_for_read() as connection:
            yield connection.channel().client

    @contextmanager
    def celery(self, url: str | None = None) -> Iterator[Celery]:
        """An application that asks and is never asked."""
        broker = url or (self.settings.broker_url.get_secret_value() if self.settings.broker_url else None)
        if broker is None:
            raise ConfigurationError("RUNWORKER_BROKER_URL is not set and no embedded servers are running")
        options: dict[str, Any] = celery_settings(self.settings)["broker_transport_options"]
        with Celery("runworker.doctor", broker=broker, set_as_current=False) as celery:
            celery.conf.broker_transport_options = {
                **options,
                "socket_connect_timeout": SECONDS,
                "socket_timeout": SECONDS,
            }
            yield celery
